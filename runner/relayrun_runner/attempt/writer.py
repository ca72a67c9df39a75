"""The only writer of an attempt: commits checkpoints, task writes and journal events together, behind one fence.

```
 saver: checkpoint, writes ──▶ batches ─┐
                                        ├─▶ fence + all of it, one synchronous commit; then NOTIFY
 graph: events ──▶ waiting events ──────┤
                                        └─▶ events alone: one asynchronous commit, every 20 ms at most
```
Events go with, or before, the checkpoint of the step they tell of, so no event of a checkpointed step is ever missing.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial

from relayrun_core.clock import monotonic_seconds
from relayrun_core.database import Database
from relayrun_core.db.fence import FENCE_ROWS, is_stale
from relayrun_core.db.journal import INSERT_EVENTS, Event, append, first_seq, insert_params
from relayrun_core.db.notify import EVENTS_CHANNEL, Hint
from relayrun_core.errors import NotStorable, StaleAttempt
from relayrun_core.runs import Run
from relayrun_runner.attempt.batches import WRITE, Batch, RecentEvents, Statement, are_known, columns
from relayrun_runner.errors import DatabaseAway, refusal
from relayrun_runner.process.metrics import RunnerMetrics
from relayrun_runner.retry import until_deadline

# The first event goes at once; after it, a reader notices no difference below some 20 ms, and a commit costs 1 ms.
_GATHER_SECONDS = 0.02
# While a task's writes are on their way, its update waits for them: in one commit, a crash leaves both or neither.
# Nothing but a thread that they wait for takes so long.
_WRITES_ARRIVE_SECONDS = 5.0
# A lone task's writes are followed by its step's checkpoint within a millisecond: one commit serves both.
_LINGER_SECONDS = 0.002
# One commit carries at most this many events, so that a reader's page and the server's memory stay small.
_EVENT_BYTES = 1 << 20
# Beyond this the graph waits for the journal.
_WAITING_BYTES = 8 << 20


_PREPARED: ContextVar[object] = ContextVar("prepared", default=None)


class RunWriter:
    """Writes for one attempt, one commit at a time. `run()` must be running meanwhile.

    It ends with StaleAttempt when the attempt has lost its run, with DatabaseAway at the deadline (loop time); whoever
    waits gets the same.
    """

    def __init__(self, database: Database, run: Run, deadline: float, metrics: RunnerMetrics, hint: Hint) -> None:
        self._database = database
        self._run = run
        self._deadline = deadline
        self._metrics = metrics
        self._hint = hint
        self._next_seq = first_seq(run.attempt) + 1  # the claim wrote the first one
        self._events: deque[Event] = deque()
        self._event_bytes = 0
        self._oldest: float | None = None
        self._batches: list[Batch] = []
        self._recent = RecentEvents(database)
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        #: Writes that are being prepared.
        self._expected: set[object] = set()
        self._told = asyncio.Event()
        self._failure: Exception | None = None
        #: An event that was refused, which is missing in the journal.
        self.refused: NotStorable | None = None

    async def emit(self, event: str, data: bytes) -> None:
        """Append an event to the journal; `data` is JSON. Waits only while megabytes are waiting already."""
        self._raise_failure()
        if self._oldest is None:
            self._oldest = monotonic_seconds()
        self._events.append(Event(self._next_seq, event, data))
        self._next_seq += 1
        self._event_bytes += len(data)
        self._work.set()
        if self._event_bytes > _WAITING_BYTES:
            await self.flushed()

    @contextmanager
    def expecting_writes(self) -> Iterator[None]:
        """In this block a task's writes are prepared: events wait for the `commit` in it, or for its end."""
        expected = object()
        self._expected.add(expected)
        token = _PREPARED.set(expected)
        try:
            yield
        finally:
            _PREPARED.reset(token)
            self._expected.discard(expected)
            self._urgent.set()

    async def commit(self, statements: list[Statement], *, lingers: bool) -> None:
        """Run the statements behind the fence; returns when they are durable, together with all events so far.

        `lingers`: these are a task's expected writes, and its step's checkpoint may follow at once. Raises what the
        statements raise.
        """
        self._raise_failure()
        if lingers:
            self._expected.discard(_PREPARED.get())
        batch = Batch(statements, lingers, asyncio.get_running_loop().create_future())
        self._batches.append(batch)
        self._work.set()
        self._urgent.set()
        await batch.done

    async def flushed(self) -> None:
        """Wait until every event emitted so far is in the journal."""
        self._raise_failure()
        while self._events:
            self._urgent.set()
            self._told.clear()
            await self._told.wait()
            self._raise_failure()

    async def close(self) -> list[Event]:
        """Stop after the commit that is under way; returned are the events that the run's next commit has to carry.

        They are those that nobody has written yet, behind those that readers saw and a crash of Postgres may forget.
        """
        self._closing = True
        await self._idle.wait()
        if self._failure is not None:
            raise self._failure
        return [*self._recent.all(), *self._events]

    async def run(self) -> None:
        """Write what comes, until cancelled."""
        try:
            while True:
                await self._work.wait()
                await self._linger()
                if self._closing:
                    return
                self._idle.clear()
                await self._write_waiting()
                self._idle.set()
                if not self._events and not self._batches:
                    await self._gather()
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._idle.set()
            failure = self._failure or StaleAttempt(f"attempt {self._run.attempt} has stopped")
            for batch in self._batches:
                batch.fail(failure)
            self._told.set()

    async def _linger(self) -> None:
        if self._expected:
            self._urgent.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_WRITES_ARRIVE_SECONDS):
                    while self._expected:
                        await self._urgent.wait()
                        self._urgent.clear()
        if self._batches and all(batch.lingers for batch in self._batches):
            await asyncio.sleep(_LINGER_SECONDS)  # more may join this commit

    async def _gather(self) -> None:
        self._work.clear()
        self._urgent.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_SECONDS):
                await self._urgent.wait()

    async def _write_waiting(self) -> None:
        batches, self._batches = self._batches, []
        events = self._take_events()
        try:
            await self._write(batches, events)
        except BaseException as error:
            for batch in batches:
                batch.fail(error)
            raise
        await self._written(events)

    async def _write(self, batches: list[Batch], events: list[Event]) -> None:
        """Write all in one commit. When a statement is refused, each batch for itself: only its own caller may fail."""
        try:
            await until_deadline(partial(self._commit, batches, events), self._deadline, "writing")
        except (StaleAttempt, DatabaseAway):
            raise
        except Exception as error:  # noqa: BLE001 - whatever refuses a value
            if not batches:
                await self._write_one_by_one(events, error)
                return
            if len(batches) == 1 and not events:
                batches[0].fail(refusal(error, "what this step wrote"))
                return
            if events:
                await self._write([], events)
            for batch in batches:
                await self._write([batch], [])
        else:
            for batch in batches:
                batch.succeed()

    async def _write_one_by_one(self, events: list[Event], error: Exception) -> None:
        """Of events that are refused together, all but those that are refused alone; the graph hears of that."""
        if len(events) > 1:
            for event in events:
                await self._write([], [event])
        elif self.refused is None:
            self.refused = refusal(error, f"the event {events[0].event}")

    async def _commit(self, batches: list[Batch], events: list[Event]) -> None:
        try:
            if batches:
                await self._commit_fenced([s for batch in batches for s in batch.statements], events)
            elif events:
                async with self._database.connection_of_one_backend() as conn:
                    await append(conn, self._run.run_id, self._run.attempt, [*self._recent.to_resend(), *events])
        except Exception as error:
            if is_stale(error):
                raise StaleAttempt(f"attempt {self._run.attempt} does not hold run {self._run.run_id}") from error
            raise
        self._recent.committed(events, durable=bool(batches))

    async def _commit_fenced(self, statements: list[Statement], events: list[Event]) -> None:
        if are_known(statements):
            async with self._database.connection_of_one_backend() as conn:
                resent = [*self._recent.to_resend(), *events]
                await conn.execute(WRITE.encode(), columns(self._run, statements, resent))
        else:
            await self._commit_as_they_are(statements, events)
        if events:
            # The hint is a commit of its own: inside the one before, it would serialise those.
            self._hint(EVENTS_CHANNEL, self._run.run_id)

    async def _commit_as_they_are(self, statements: list[Statement], events: list[Event]) -> None:
        # In autocommit what a pipeline sends until its end is one transaction; a failing fence rolls all of it back.
        async with self._database.pipeline() as (conn, _), conn.cursor(binary=True) as cursor:
            resent = [*self._recent.to_resend(), *events]
            ours = (self._run.run_id, self._run.attempt, str(self._run.thread_id))
            await cursor.execute(FENCE_ROWS, (*ours, -1))
            for statement in statements:
                await statement.send(cursor)
            await cursor.execute(FENCE_ROWS, (*ours, 1))
            await cursor.execute(INSERT_EVENTS, insert_params(self._run.run_id, resent))

    def _take_events(self) -> list[Event]:
        taken: list[Event] = []
        size = 0
        for event in self._events:
            if taken and size + len(event.data) > _EVENT_BYTES:
                break
            taken.append(event)
            size += len(event.data)
        return taken

    async def _written(self, events: list[Event]) -> None:
        now = monotonic_seconds()
        if events:
            self._measure(len(events), now)
        for event in events:
            self._events.popleft()
            self._event_bytes -= len(event.data)
        self._told.set()

    def _measure(self, written: int, now: float) -> None:
        if self._oldest is not None:
            self._metrics.journal_lag_seconds.set(now - self._oldest)
        self._oldest = now if len(self._events) > written else None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.refused is not None:
            raise self.refused
