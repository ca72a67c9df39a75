"""The writing end of a run's journal: events gather for some 20 ms and go out in one asynchronous commit.

```
 emit ──▶ waiting ──▶ flush (fence, insert, notify) ──▶ recent (3 s, told again after a reconnect)
```
"""

import asyncio
import time
from collections import deque
from functools import partial

from relayrun_core.database import Database
from relayrun_core.errors import StaleAttempt
from relayrun_core.fence import is_stale
from relayrun_core.runs import Run
from relayrun_core.store.journal import Event, append, first_seq
from relayrun_runner.retry import until_deadline

# The first event goes at once; after it, a reader notices no difference below some 20 ms, and a commit costs 1 ms.
_GATHER_SECONDS = 0.02
# One commit carries at most this, so that a reader's page and the server's memory stay small.
_BATCH_BYTES = 1 << 20
# Beyond this the graph waits for the journal.
_WAITING_BYTES = 8 << 20
# A crash of Postgres loses at most the last `wal_writer_delay`s of asynchronous commits: 3 s is 15 of them.
_RECENT_SECONDS = 3.0


class Journal:
    """One attempt's journal. `run()` must be running while events are emitted.

    It ends with StaleAttempt when the attempt has lost its run, with DatabaseAway at the deadline (loop time).
    """

    def __init__(self, database: Database, run: Run, deadline: float) -> None:
        self._database = database
        self._run = run
        self._deadline = deadline
        self._next_seq = first_seq(run.attempt)
        self._waiting: deque[Event] = deque()
        self._waiting_bytes = 0
        self._recent: deque[tuple[float, Event]] = deque()
        self._connections = -1
        self._changed = asyncio.Event()
        self._urgent = asyncio.Event()
        self._drained = asyncio.Condition()
        self._failure: Exception | None = None

    async def emit(self, event: str, data: bytes) -> None:
        """Append an event; `data` is JSON. Waits only while megabytes are waiting already."""
        self._raise_failure()
        self._waiting.append(Event(self._next_seq, event, data))
        self._next_seq += 1
        self._waiting_bytes += len(data)
        self._changed.set()
        if self._waiting_bytes > _WAITING_BYTES:
            await self.flushed()

    async def flushed(self) -> None:
        """Wait until everything emitted so far is in the database."""
        if not self._waiting:
            self._raise_failure()
            return
        async with self._drained:
            self._urgent.set()
            await self._drained.wait_for(lambda: not self._waiting or self._failure is not None)
        self._raise_failure()

    async def run(self) -> None:
        """Write what is emitted, until cancelled."""
        try:
            await self._write_batches()
        except Exception as error:
            self._failure = error
            raise
        finally:
            async with self._drained:
                self._drained.notify_all()

    async def _write_batches(self) -> None:
        while True:
            await self._changed.wait()
            batch = self._take_batch()
            await until_deadline(partial(self._append, batch), self._deadline, "writing events")
            await self._written(batch)
            if self._waiting:
                continue
            self._changed.clear()
            try:
                async with asyncio.timeout(_GATHER_SECONDS):
                    await self._urgent.wait()
            except TimeoutError:
                pass

    def _take_batch(self) -> list[Event]:
        batch: list[Event] = []
        size = 0
        for event in self._waiting:
            if batch and size + len(event.data) > _BATCH_BYTES:
                break
            batch.append(event)
            size += len(event.data)
        return batch

    async def _append(self, batch: list[Event]) -> None:
        connections = self._database.connections_made
        # A new connection may mean that Postgres crashed, and lost what readers already saw: tell it again.
        again = [event for _, event in self._recent] if connections != self._connections else []
        try:
            async with self._database.connection() as conn:
                await append(conn, self._run.run_id, self._run.attempt, [*again, *batch])
        except Exception as error:
            if is_stale(error):
                raise StaleAttempt(f"attempt {self._run.attempt} does not hold run {self._run.run_id}") from error
            raise
        self._connections = connections

    async def _written(self, batch: list[Event]) -> None:
        now = time.monotonic()
        for event in batch:
            self._waiting.popleft()
            self._waiting_bytes -= len(event.data)
            self._recent.append((now, event))
        while self._recent and now - self._recent[0][0] > _RECENT_SECONDS:
            self._recent.popleft()
        async with self._drained:
            if not self._waiting:
                self._urgent.clear()
            self._drained.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
