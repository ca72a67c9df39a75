"""GET /runs: every run on this runner as NDJSON, then every change, and a heartbeat.

A reader that is slow gets the last state of each run, not all that were between: what waits for it is bounded.
"""

import asyncio
import builtins
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from relayrun_core import storable
from relayrun_core.clock import monotonic_seconds
from relayrun_core.runner_protocol import HeartbeatLine, Line, ListLine, RunLine, RunReport
from relayrun_runner.runs.entries import Entry
from relayrun_runner.runs.table import Key, RunTable

HEARTBEAT_SECONDS = 2.0


@dataclass(frozen=True)
class RunnerIdentity:
    """What a runner says about itself in a list."""

    runner: str
    holder: UUID
    build: str
    agent: str
    #: How the processes before it in its pod ended.
    deaths: Mapping[str, int] = field(default_factory=dict)


class WatchStreams:
    """The watch streams of one runner. `lag_ms` and `graphs` are asked for anew each time."""

    def __init__(
        self, identity: RunnerIdentity, table: RunTable, lag_ms: Callable[[], float], graphs: Callable[[], list[str]]
    ) -> None:
        self._identity = identity
        self._table = table
        self._lag_ms = lag_ms
        self._graphs = graphs
        self.open_streams = 0
        self._closed = asyncio.Event()

    def graphs(self) -> builtins.list[str]:
        """The graphs that are loaded."""
        return self._graphs()

    def list(self, entries: list[Entry] | None = None) -> ListLine:
        """The full list."""
        runs = self._table.snapshot() if entries is None else entries
        return ListLine(
            holder=str(self._identity.holder),
            runner=self._identity.runner,
            agent=self._identity.agent,
            build=self._identity.build,
            pid=os.getpid(),
            deaths=dict(self._identity.deaths),
            slots=self._table.slots,
            draining=self._table.draining,
            lag_ms=round(self._lag_ms(), 1),
            graphs=self._graphs(),
            runs=[entry.report(RunReport) for entry in runs],
        )

    async def lines(self) -> AsyncIterator[bytes]:
        """The list, then changes and heartbeats; ends by itself when the runner has drained and all was told."""
        changes = _Changes(asyncio.get_running_loop())
        entries = self._table.watch(changes.notify)
        self.open_streams += 1
        try:
            yield _line(self.list(entries))
            beat = monotonic_seconds() + HEARTBEAT_SECONDS
            while not (self._table.draining and not self._table.active and await self._all_told(changes)):
                about_runner, changed = await changes.take(beat - monotonic_seconds())
                for entry in changed:
                    yield _line(entry.report(RunLine))
                if about_runner or monotonic_seconds() >= beat:
                    beat = monotonic_seconds() + HEARTBEAT_SECONDS
                    yield _line(self._heartbeat())
        finally:
            self.open_streams -= 1
            if not self.open_streams:
                self._closed.set()
            self._table.unwatch(changes.notify)

    def _heartbeat(self) -> HeartbeatLine:
        return HeartbeatLine(lag_ms=round(self._lag_ms(), 1), draining=self._table.draining)

    async def closed(self, seconds: float) -> None:
        """Wait until no stream is open, for at most `seconds`: they end by themselves after a drain."""
        if not self.open_streams:
            return
        self._closed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return

    async def _all_told(self, changes: "_Changes") -> bool:
        self._table.snapshot()  # whoever made the last change has told it once the table's lock is free
        await asyncio.sleep(0)  # and what it told has arrived after one turn of the loop
        return changes.empty


class _Changes:
    """What one reader has not been told yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._entries: dict[Key, Entry] = {}
        self._about_runner = False
        self._wake = asyncio.Event()

    @property
    def empty(self) -> bool:
        return not self._entries

    def notify(self, entry: Entry | None) -> None:
        """Called in any thread."""
        self._loop.call_soon_threadsafe(self._note, entry)

    async def take(self, seconds: float) -> tuple[bool, list[Entry]]:
        """Wait for something new for at most `seconds`: whether the runner itself changed, and the runs that did."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            return False, []
        self._wake.clear()
        about_runner, entries = self._about_runner, list(self._entries.values())
        self._about_runner = False
        self._entries.clear()
        return about_runner, entries

    def _note(self, entry: Entry | None) -> None:
        if entry is None:
            self._about_runner = True
        else:
            self._entries[entry.run_id, entry.attempt] = entry
        self._wake.set()


def _line(line: Line) -> bytes:
    return storable.dumps(line.model_dump()) + b"\n"
