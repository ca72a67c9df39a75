"""The run table: the state of every run on this runner, for the protocol, the executor and the watch streams.

```
  reserve ──▶ (Claiming) ──started──▶ Running ──cancelling──▶ Cancelling
      │            │                     │                        │
      │        unreserve                 └────────┬───────────────┘
      ▼                                           ▼
  why not                        Finished · Drained · Abandoned   (kept 10 minutes)
```
Safe to use from any thread: the executor lives on the graphs' loop, the protocol on its own.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from uuid import UUID

from relayrun_core.clock import monotonic_seconds, unix_seconds
from relayrun_core.runner_protocol import AttemptState
from relayrun_core.runs import Outcome, Run
from relayrun_core.states import Reason, RunStatus
from relayrun_runner.process.metrics import RunnerMetrics
from relayrun_runner.runs.entries import Entry, fitting

KEEP_SECONDS = 600.0
Key = tuple[UUID, int]
#: Called with a changed entry, or with None when something about the runner itself changed.
Watcher = Callable[["Entry | None"], None]


class Reservation(StrEnum):
    """The answer to `reserve`."""

    RESERVED = "Reserved"
    KNOWN = "Known"
    FULL = "Full"
    DRAINING = "Draining"


class RunTable:
    """Every run's state on this runner, and its slots."""

    def __init__(self, slots: int, metrics: RunnerMetrics, *, clock: Callable[[], float] = monotonic_seconds) -> None:
        self.slots = slots
        self.metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()
        self._active: dict[Key, Entry] = {}
        # In the order of their ends, so that forgetting the oldest looks at those alone.
        self._ended: dict[Key, Entry] = {}
        self._watchers: dict[Watcher, None] = {}
        self._draining = False
        metrics.slots.set(slots)

    @property
    def draining(self) -> bool:
        """Whether no new runs are taken."""
        return self._draining

    def start_draining(self) -> None:
        """Take no new runs from now on."""
        with self._lock:
            self._draining = True
            for tell in self._watchers:
                tell(None)

    @property
    def active(self) -> int:
        """How many slots are taken."""
        return len(self._active)

    def reserve(self, run_id: UUID, attempt: int, *, alone: bool = False) -> Reservation:
        """Take a slot before the claim, or with `alone` the whole runner; KNOWN when this attempt is here already."""
        with self._lock:
            key = (run_id, attempt)
            if key in self._active or key in self._ended:
                return Reservation.KNOWN
            if self._draining:
                return Reservation.DRAINING
            taken = self.slots if alone and self._active else len(self._active)
            if taken >= self.slots or any(entry.alone for entry in self._active.values()):
                return Reservation.FULL
            self._active[key] = Entry(run_id, attempt, AttemptState.CLAIMING, alone=alone)
            self._count()
            return Reservation.RESERVED

    def unreserve(self, run_id: UUID, attempt: int) -> None:
        """Give a reserved slot back: the claim failed."""
        with self._lock:
            entry = self._active.get((run_id, attempt))
            if entry is not None and entry.state is AttemptState.CLAIMING:
                del self._active[run_id, attempt]
                self._count()

    def is_alone(self, run_id: UUID) -> bool:
        """Whether no other run is active here."""
        with self._lock:
            return all(entry.run_id == run_id for entry in self._active.values())

    def started(self, run: Run, *, inline: bool = False) -> None:
        """The run was claimed. A suspect has the runner for itself: nothing else is taken while it runs."""
        entry = Entry(
            run.run_id,
            run.attempt,
            AttemptState.RUNNING,
            run.thread_id,
            run.graph,
            created_at=run.created_at.timestamp(),
            started_at=run.started_at.timestamp() if run.started_at else None,
            failed_attempts=run.failed_attempts,
            alone=run.suspect,
            inline=inline,
        )
        with self._lock:
            self._put(entry)
        self.metrics.run_attempts.add("first" if run.attempt == 1 else "resume")
        if run.attempt == 1:
            # Its first event was committed with its claim.
            self.metrics.run_start_seconds.observe(max(0.0, unix_seconds() - run.created_at.timestamp()))

    def cancelling(self, run_id: UUID, attempt: int) -> None:
        """The run was told to stop."""
        with self._lock:
            entry = self._active.get((run_id, attempt))
            if entry is not None and entry.state is AttemptState.RUNNING:
                self._put(replace(entry, state=AttemptState.CANCELLING))

    def finished(self, run_id: UUID, attempt: int, outcome: Outcome | Run) -> None:
        """The run ended here; only now is its slot free."""
        status = outcome.status if isinstance(outcome, Run) else outcome.reason.status
        self._end(
            run_id,
            attempt,
            AttemptState.FINISHED,
            status=status,
            reason=outcome.reason,
            message=outcome.message or "",
            output=outcome.output if isinstance(outcome, Outcome) else None,
            detail=str((outcome.error or {}).get("message") or ""),
        )

    def drained(self, run_id: UUID, attempt: int) -> None:
        """The run was given back between two steps, and goes on elsewhere."""
        self._end(run_id, attempt, AttemptState.DRAINED)

    def abandoned(self, run_id: UUID, attempt: int) -> None:
        """The run was stopped here without touching its row: another attempt has it."""
        self._end(run_id, attempt, AttemptState.ABANDONED)

    def get(self, run_id: UUID, attempt: int) -> Entry | None:
        """The entry of an attempt."""
        with self._lock:
            return self._active.get((run_id, attempt)) or self._ended.get((run_id, attempt))

    def older(self, run_id: UUID, attempt: int) -> list[Entry]:
        """Earlier attempts of the run that still execute here."""
        with self._lock:
            return [entry for entry in self._active.values() if entry.run_id == run_id and entry.attempt < attempt]

    def snapshot(self) -> list[Entry]:
        """Every run that was claimed here and executes, or ended less than ten minutes ago."""
        with self._lock:
            return self._list()

    def watch(self, tell: Watcher) -> list[Entry]:
        """Call `tell` for each change from now on, in the changing thread; it must not block. The list so far."""
        with self._lock:
            self._watchers[tell] = None
            return self._list()

    def unwatch(self, tell: Watcher) -> None:
        """Stop calling `tell`."""
        with self._lock:
            self._watchers.pop(tell, None)

    def _list(self) -> list[Entry]:
        self._forget_old()
        active = [entry for entry in self._active.values() if entry.state is not AttemptState.CLAIMING]
        return active + list(self._ended.values())

    def _end(
        self,
        run_id: UUID,
        attempt: int,
        state: AttemptState,
        *,
        status: RunStatus | None = None,
        reason: Reason | None = None,
        message: str = "",
        output: bytes | None = None,
        detail: str = "",
    ) -> None:
        with self._lock:
            entry = self._active.get((run_id, attempt))
            if entry is None:
                return  # told twice
            reported, size = fitting(output if entry.inline else None)
            if entry.inline and detail:
                # Who may read its AgentRun has read its input there, too; otherwise no user's text goes to etcd.
                message = f"{message}: {detail}"
            ended = replace(entry, state=state, status=status, reason=reason, message=message)
            ended = replace(ended, output=reported, output_bytes=size)
            self._put(replace(ended, ended=self._clock()))
            self._forget_old()
        if status is not None:
            self.metrics.runs.add(status.value)
            if entry.created_at is not None:
                self.metrics.run_duration_seconds.observe(max(0.0, unix_seconds() - entry.created_at))

    def _put(self, entry: Entry) -> None:
        key = (entry.run_id, entry.attempt)
        if entry.state.holds:
            self._active[key] = entry
        else:
            self._active.pop(key, None)
            self._ended[key] = entry
        self._count()
        for tell in self._watchers:
            tell(entry)

    def _forget_old(self) -> None:
        limit = self._clock() - KEEP_SECONDS
        while self._ended and (oldest := next(iter(self._ended.values()))).ended < limit:
            del self._ended[oldest.run_id, oldest.attempt]

    def _count(self) -> None:
        self.metrics.active_runs.set(len(self._active))
