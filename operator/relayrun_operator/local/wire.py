"""HTTP/1.1 to a runner on this machine, over kept connections: small calls, and a stream of lines.

Written by hand because each run costs a call and two lines of the stream: httpx takes 4 ms of processor for these,
of the 25 that a run may cost in all; this takes 0.5. It speaks to our own runners alone: plain http, no redirects,
bodies with a Content-Length, streams in chunks.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from relayrun_operator.local.errors import RunnerUnreachable

_CONNECT_SECONDS = 2.0
_LONGEST_BODY_BYTES = 1 << 20

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """A status and a body."""

    status: int
    body: bytes


class Wire:
    """Connections to one runner; each carries one call at a time."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self.url = f"http://{host}:{port}"
        self._host = host
        self._port = port
        self._headers = f"Host: {host}:{port}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        self._idle: list[_Connection] = []

    async def call(self, method: str, target: str, body: bytes = b"", *, seconds: float) -> WireAnswer:
        """One call. RunnerUnreachable: it may have been carried out, or not; it is never repeated here."""
        with _failures_named(f"{method} {self.url}{target}"):
            async with asyncio.timeout(seconds):
                connection = self._kept() or await self._open()
                reader, writer = connection
                try:
                    writer.write(self._request(method, target, body))
                    status, headers = await _read_head(reader)
                    answer = WireAnswer(status, await reader.readexactly(_body_bytes(headers)))
                except BaseException:
                    writer.close()
                    raise
        if headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle.append(connection)
        return answer

    @asynccontextmanager
    async def stream(self, target: str, *, silence_seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an endless answer. RunnerUnreachable when it cannot be opened, breaks, or falls silent."""
        place = f"GET {self.url}{target}"
        with _failures_named(place):
            reader, writer = await self._open()
        try:
            with _failures_named(place):
                async with asyncio.timeout(_CONNECT_SECONDS):
                    writer.write(self._request("GET", target, b""))
                    status, headers = await _read_head(reader)
                if status != 200 or headers.get("transfer-encoding") != "chunked":
                    raise ValueError(f"status {status}")
            yield _lines(place, reader, silence_seconds)
        finally:
            writer.close()

    async def connect(self) -> None:
        """Open a connection ahead of the first call. Does nothing when nobody listens."""
        if not self._idle:
            with suppress(OSError, TimeoutError):
                self._idle.append(await self._open())

    def close(self) -> None:
        """Let go of the idle connections."""
        while self._idle:
            self._idle.pop()[1].close()

    def _kept(self) -> _Connection | None:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None

    async def _open(self) -> _Connection:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_connection(self._host, self._port)

    def _request(self, method: str, target: str, body: bytes) -> bytes:
        return f"{method} {target} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def _failures_named(call: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, KeyError, ValueError, TimeoutError, asyncio.LimitOverrunError) as error:
        raise RunnerUnreachable(f"{call} failed: {error!r}") from error


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split(" ", 2)[1]), headers


def _body_bytes(headers: dict[str, str]) -> int:
    length = int(headers["content-length"])
    if not 0 <= length <= _LONGEST_BODY_BYTES:
        raise ValueError(f"an answer of {length} bytes")
    return length


async def _lines(call: str, reader: asyncio.StreamReader, silence_seconds: float) -> AsyncIterator[bytes]:
    rest = b""
    while True:
        with _failures_named(call):
            async with asyncio.timeout(silence_seconds):
                size = int((await reader.readuntil(b"\r\n")).strip(), 16)
                chunk = await reader.readexactly(size + 2)
        if size == 0:
            return
        *lines, rest = (rest + chunk[:-2]).split(b"\n")
        for line in lines:
            yield line
