"""Calls to one runner and its stream of lines, over kept connections.

aiohttp and not httpx: each run costs a call and two lines of the stream, of which httpx made the largest part of the
world's own work.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from relayrun_core.errors import RelayrunError
from relayrun_core.rotating import bearer

_CONNECT_SECONDS = 2.0
_UNAUTHORIZED = 401
_KEPT_SECONDS = 60.0


class RunnerUnreachable(RelayrunError):
    """A call to a runner had no clear answer: it may or may not have been carried out."""


class NotSent(RunnerUnreachable):
    """A call that was not made at all."""


class TokenRefused(NotSent):
    """The runner has another token than we: it did nothing."""


class Tokens(Protocol):
    """The tokens that runners may want to hear."""

    def all(self) -> tuple[str, ...]:
        """As far as they are known."""

    async def renew(self) -> None:
        """They were refused: find out whether there are others by now."""


class OneToken:
    """A token that never changes."""

    def __init__(self, token: str) -> None:
        self._token = token

    def all(self) -> tuple[str, ...]:
        """See Tokens."""
        return (self._token,)

    async def renew(self) -> None:
        """See Tokens."""


@dataclass(frozen=True, slots=True)
class Response:
    """A status and a body."""

    status: int
    body: bytes


class Transport:
    """Connections to one runner. Belongs to the loop of its first call."""

    def __init__(self, host: str, port: int, tokens: Tokens) -> None:
        self.url = f"http://{host}:{port}"
        #: The runner's last word was that it has another token.
        self.refused = False
        self._tokens = tokens
        self._opened: aiohttp.ClientSession | None = None
        self._closing: asyncio.Task[None] | None = None

    async def call(self, method: str, target: str, body: bytes = b"", *, seconds: float) -> Response:
        """One call. RunnerUnreachable: it may have been carried out, or not."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        with _failures_named(f"{method} {self.url}{target}"):
            async with await self._send(method, target, data=body, timeout=timeout) as answer:
                return Response(answer.status, await answer.read())

    @asynccontextmanager
    async def stream(self, target: str, *, silence_seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an endless answer. RunnerUnreachable when it cannot be opened, breaks, or falls silent."""
        place = f"GET {self.url}{target}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence_seconds)
        with _failures_named(place):
            answer = await self._send("GET", target, timeout=timeout)
        try:
            if answer.status != 200:
                raise RunnerUnreachable(f"{place} failed: status {answer.status}")
            yield _lines(place, answer.content)
        finally:
            answer.close()

    async def connect(self) -> None:
        """Make ready for the first call, so that a run need not wait for that."""
        self._session()

    def close(self) -> None:
        """Let go of the connections, at once."""
        session, self._opened = self._opened, None
        if session is None or session.connector is None:
            return
        closing = session.connector.close()  # closes; what it returns only waits for transports to have gone
        session.detach()
        self._closing = asyncio.get_running_loop().create_task(_await(closing))

    async def _send(self, method: str, target: str, **options: Any) -> aiohttp.ClientResponse:
        """The answer, begun. Raises TokenRefused."""
        shown: tuple[str, ...] | None = None
        while shown != (shown := self._tokens.all()):
            headers = {"Authorization": bearer(shown)}
            answer = await self._session().request(method, self.url + target, headers=headers, **options)
            self.refused = answer.status == _UNAUTHORIZED
            if not self.refused:
                return answer
            answer.release()
            await self._tokens.renew()
        raise TokenRefused(f"{method} {self.url}{target}: the runner has a different token from the operator's")

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                headers={"Content-Type": "application/json"},
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            # Who repeats a claim, and when, is for the engine to decide; aiohttp's own test client turns it off so.
            self._opened._retry_connection = False
        return self._opened


async def _await(closing: Awaitable[None]) -> None:
    await closing


@contextmanager
def _failures_named(call: str) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        raise RunnerUnreachable(f"{call} failed: {cause!r}") from error


async def _lines(call: str, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # A list of thousands of runs is one line, longer than what `readline` allows.
    rest = b""
    while True:
        with _failures_named(call):
            chunk = await content.readany()
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
