"""A TCP proxy between one reader and the API that cuts streams and WebSockets off: in an answer's head, between events,
in the middle of one, or while nothing comes; by a reset, or by an end that comes too early.

What is no stream goes through unharmed, and so do the heads of the first streams' answers: whoever has not seen one has
no place to come back to.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Literal

from tests.support.framing import EventStream, Frames, Framing
from tests.support.streams import serving_streams

Where = Literal["head", "between", "within", "silence"]

_REQUEST = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")
_STREAM_PATHS = ("/stream", "/stream/events")
_END_OF_HEAD = b"\r\n\r\n"
# The SDKs give up after five connections without an event.
_MOST_FUTILE = 2


@dataclass(frozen=True)
class Cut:
    """`amount`: bytes of the head or of the body, whole events, or seconds behind the head."""

    where: Where
    amount: float
    reset: bool

    @property
    def kind(self) -> str:
        return f"{self.where}, {'reset' if self.reset else 'ended'}"


class CuttingProxy:
    """Forwards to `target`, a port of this machine, and cuts streams off until there are no `cuts` left."""

    def __init__(self, target: int, *, seed: int = 0, cuts: int = 0, spared: int = 1, behind: bytes = b"") -> None:
        """`spared`: how many streams' heads go through first. `behind`: what a stream has to have told before it is cut
        off, for readers that rely on that.
        """
        self.target = target
        self.behind = behind
        self.done: Counter[str] = Counter()
        """The cuts made, by their kind."""
        self.lets_in = asyncio.Event()
        """While it is not set, connections are taken and wait."""
        self.lets_in.set()
        self._cuts = cuts
        self._random = Random(seed)
        self._port = 0
        self._futile = 0
        self._spared = spared

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[CuttingProxy]:
        """Take connections until the block ends."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.CancelledError):
                await self._serve(reader, writer)

        async with serving_streams(serve, self._port) as self._port:
            yield self

    def plan(self, method: str, path: str) -> Cut | None:
        """How the answer to a request is to be cut off, if it is."""
        if not path.partition("?")[0].endswith(_STREAM_PATHS) or self.done.total() >= self._cuts:
            return None
        self._spared -= 1
        places: list[Where] = ["between", "silence"]
        if self._futile < _MOST_FUTILE:
            places += (
                ["within", "within"] if self._spared >= 0 or method == "POST" or self.behind else ["within", "head"]
            )
        where = self._random.choice(places)
        amount: dict[Where, float] = {
            "head": self._random.randrange(200),
            "between": self._random.randint(1, 5),
            "within": self._random.randrange(1_200),
            "silence": self._random.uniform(0.05, 0.3),
        }
        return Cut(where, amount[where], self._random.random() < 0.5)

    def was_made(self, cut: Cut, events: int) -> None:
        """A connection was cut off, behind so many events."""
        self.done[cut.kind] += 1
        self._futile = 0 if events else self._futile + 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.lets_in.wait()
        answers, requests = await asyncio.open_connection("127.0.0.1", self.target)
        connection = _Connection(self, writer)
        asking = asyncio.create_task(connection.forward_requests(reader, requests))
        answering = asyncio.create_task(connection.forward_answers(answers))
        try:
            await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, answering):
                task.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)
            requests.transport.abort()
            writer.close()


class _Connection:
    """One client's connection, on which requests follow each other."""

    def __init__(self, proxy: CuttingProxy, client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._planned: Cut | None = None
        self._head = b""
        self._body_bytes = 0
        self._events = 0
        self._framing: Framing | None = None
        self._may_be_cut = False
        self._moment: float | None = None

    async def forward_requests(self, source: asyncio.StreamReader, api: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65_536):
            if request := _REQUEST.match(chunk):
                self._planned = self._proxy.plan(request[1].decode(), request[2].decode())
                self._head, self._body_bytes, self._events, self._moment = b"", 0, 0, None
                self._framing, self._may_be_cut = None, not self._proxy.behind
            api.write(chunk)
            await api.drain()

    async def forward_answers(self, source: asyncio.StreamReader) -> None:
        while True:
            try:
                async with asyncio.timeout_at(self._moment):
                    chunk = await source.read(65_536)
            except TimeoutError:
                return self._cut()
            if not chunk:
                return None
            allowed = self._allowed(chunk)
            self._client.write(chunk[:allowed])
            if allowed < len(chunk):
                return self._cut()
            await self._client.drain()

    def _allowed(self, chunk: bytes) -> int:
        """How much of a chunk goes through before the cut."""
        cut = self._planned
        if cut is None:
            return len(chunk)
        if self._framing is not None:
            return self._allowed_of_body(cut, self._framing, chunk, 0)
        before = len(self._head)
        self._head += chunk
        whole = self._head.find(_END_OF_HEAD)
        if cut.where == "head" and (whole < 0 or cut.amount < whole):
            return max(0, min(len(chunk), int(cut.amount) - before))
        if whole < 0:
            return len(chunk)
        self._framing = _framing_of(self._head[:whole].lower())
        if self._framing is None:
            self._planned = None
            return len(chunk)
        return self._allowed_of_body(cut, self._framing, chunk, whole + len(_END_OF_HEAD) - before)

    def _allowed_of_body(self, cut: Cut, framing: Framing, chunk: bytes, start: int) -> int:
        ends = [start + end for end in framing.ends(chunk[start:])]
        if not self._may_be_cut:
            self._may_be_cut = self._proxy.behind in chunk
            return len(chunk)
        if cut.where == "silence" and self._moment is None:
            self._moment = asyncio.get_running_loop().time() + cut.amount
        allowed = len(chunk)
        if cut.where == "within":
            allowed = min(allowed, start + int(cut.amount) - self._body_bytes)
        elif cut.where == "between" and (lacking := int(cut.amount) - self._events) <= len(ends):
            allowed = ends[lacking - 1] if lacking else start
        self._events += sum(end <= allowed for end in ends)
        self._body_bytes += allowed - start
        return allowed

    def _cut(self) -> None:
        assert self._planned is not None
        self._proxy.was_made(self._planned, self._events)
        if self._planned.reset:
            client = self._client.get_extra_info("socket")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()


def _framing_of(head: bytes) -> Framing | None:
    if b"text/event-stream" in head:
        return EventStream()
    return Frames() if head.startswith(b"http/1.1 101 ") else None
