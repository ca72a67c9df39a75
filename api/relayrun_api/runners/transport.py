"""Connections to runners, any of which may be killed at any moment, with streamed answers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx

from relayrun_api.http.streamed import Truncated

# What is no longer than this is complete before its status is told: until then another runner can be asked.
_BEGINNING_BYTES = 262_144


class RunnerReading:
    """An answer of which the beginning is there. An iterator of its parts, to be closed."""

    def __init__(self, response: httpx.Response, beginning: bytes, rest: AsyncIterator[bytes] | None) -> None:
        self.response = response
        #: What ends with it.
        self.closes = AsyncExitStack()
        self.closes.push_async_callback(response.aclose)
        self._beginning = beginning
        self._rest = rest

    @classmethod
    async def begin(cls, response: httpx.Response) -> "RunnerReading":
        """Read the beginning; refusals are read whole. Raises httpx.TransportError."""
        beginning, rest = bytearray(), response.aiter_raw()
        try:
            if not response.is_success:
                await response.aread()
                return cls(response, b"", None)
            async for part in rest:
                beginning += part
                if len(beginning) >= _BEGINNING_BYTES:
                    return cls(response, bytes(beginning), rest)
        except BaseException:
            await response.aclose()
            raise
        return cls(response, bytes(beginning), None)

    @property
    def status_code(self) -> int:
        """Of the runner's answer."""
        return self.response.status_code

    @property
    def complete(self) -> bytes | None:
        """The answer, where its beginning is all of it."""
        return self._beginning if self._rest is None else None

    async def whole(self) -> bytes:
        """All of the answer. Raises Truncated."""
        try:
            return b"".join([part async for part in self])
        finally:
            await self.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._beginning:
            part, self._beginning = self._beginning, b""
            return part
        if self._rest is None:
            raise StopAsyncIteration
        try:
            return await anext(self._rest)
        except httpx.TransportError as error:
            raise Truncated(f"the runner's answer was cut off: {error!r}") from error

    async def aclose(self) -> None:
        """Whatever of it is not read yet: the runner stops making it."""
        await self.closes.aclose()


class RunnerTransport(httpx.AsyncHTTPTransport):
    """httpx's own, whose every failure to reach a runner is a TransportError."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request."""
        try:
            return await super().handle_async_request(request)
        except AttributeError as error:
            # anyio 4.16 on uvloop asks a connection that was reset while it was opened for its socket, and gets None.
            raise httpx.ConnectError("The connection was reset while it was opened.", request=request) from error
