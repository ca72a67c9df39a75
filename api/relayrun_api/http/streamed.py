"""An answer that is written as it comes: pure ASGI, one write a chunk, kept alive meanwhile, and told when the client
leaves.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relayrun_api.tasks import cancelled

OnDisconnect = Callable[[], Awaitable[None]]

#: Where the state of a request's scope has what cuts its connection. Without it the server logs an unfinished answer as
#: an error.
CUT = "relayrun.cut"


#: An answer that is kept alive says something this often, to proxies and clients.
HEARTBEAT_SECONDS = 5.0


class Truncated(Exception):
    """The source ends here though its answer is not complete: the connection is cut, so that the client asks again."""


class Chunks(Protocol):
    """A generator, or what can be iterated and closed like one."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Itself."""
        ...

    def aclose(self) -> Awaitable[None]:
        """Give up what is left."""
        ...


class Streamed(Response):
    """Sends its status and headers at once, then each chunk when it is there; empty ones are not sent. The server's
    flow control holds back the source while the client does not read.

    `heartbeat` is written every 5 s, between two chunks, whatever else is written: what a client can miss is then a
    connection that is dead, and not an agent that has nothing to say.
    """

    def __init__(
        self,
        chunks: Chunks,
        *,
        media_type: str,
        headers: Mapping[str, str],
        heartbeat: bytes = b"",
        on_disconnect: OnDisconnect | None = None,
    ) -> None:
        self._chunks = chunks
        self._heartbeat = heartbeat
        self._on_disconnect = on_disconnect
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        # Made by hand: with a body Starlette's constructor would add its Content-Length.
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        async with aclosing(self._chunks), asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump(scope, send, group))
            gone = group.create_task(_disconnected(receive))
            await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
            left = not pump.done()
            await cancelled(pump, gone)
        if left and self._on_disconnect is not None:
            await self._on_disconnect()

    async def _pump(self, scope: Scope, send: Send, group: asyncio.TaskGroup) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        beating = group.create_task(self._beat(send))
        try:
            whole = await self._write(send)
        finally:
            beating.cancel()  # it writes nothing more, and nothing may come behind the end
        if whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif cut := scope.get("state", {}).get(CUT):
            cut()

    async def _write(self, send: Send) -> bool:
        """Whether it came to its end."""
        try:
            async for chunk in self._chunks:
                if not chunk:
                    continue
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                del chunk
                # Nothing more, which waits until the client has taken the chunk: only then is the next one made.
                await send({"type": "http.response.body", "body": b"", "more_body": True})
        except Truncated:
            return False
        return True

    async def _beat(self, send: Send) -> None:
        while self._heartbeat:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await send({"type": "http.response.body", "body": self._heartbeat, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
