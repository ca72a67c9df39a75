"""Streams a request's body, bounded, for passing it on, and notices when the client leaves."""

import asyncio
from collections.abc import AsyncIterator

import httpx
from starlette.types import Receive, Scope

from relayrun_api.http.bodies import MAX_BODY_BYTES
from relayrun_api.http.errors import BodyTooLarge, BodyTooSlow


class ClientLeft(Exception):
    """The client has closed the connection: nobody wants an answer."""


class ClientBody(httpx.AsyncByteStream):
    """Read once. Raises BodyTooLarge and ClientLeft while it is read."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        """Raises BodyTooLarge where the length is told."""
        headers = {name: value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")}
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise _too_large()
        #: Whether something of it was read.
        self.begun = False
        #: Whether the next bytes are the client's turn.
        self.waits_for_client = False
        self._receive = receive
        self._read = asyncio.Event()
        self._bound: tuple[asyncio.Timeout, float] | None = None
        self._is_empty = length == b"0" and b"transfer-encoding" not in headers

    def bound_by(self, bound: asyncio.Timeout, seconds: float) -> None:
        """Put the timeout off by `seconds` whenever the client has sent something."""
        self._bound = bound, seconds

    def too_slow(self) -> BodyTooSlow:
        """The refusal of a body that does not come."""
        return BodyTooSlow("The body stopped arriving: send the whole request again.")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, more = 0, not self._is_empty
        while more:
            self.begun = self.waits_for_client = True
            message = await self._receive()
            self.waits_for_client = False
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise _too_large()
            more = message.get("more_body", False)
            self._put_off()
            if chunk:
                yield chunk
        self._read.set()

    async def client_left(self) -> None:
        """Return when the client has left, once the body was read."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _put_off(self) -> None:
        if self._bound is not None:
            bound, seconds = self._bound
            bound.reschedule(asyncio.get_running_loop().time() + seconds)


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes: send less.")
