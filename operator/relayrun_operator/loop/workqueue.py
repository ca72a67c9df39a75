"""The work queue: which runs have to be decided about, and in which order the runs of each thread go."""

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relayrun_operator.engine import RunView


@dataclass(frozen=True, slots=True)
class Batch:
    """What has to be decided now. `waiting`: the runs that wait for a runner, if one may have room."""

    changed: list[RunView]
    waiting: list[RunView]


class WorkQueue:
    """Collects runs to decide about, and calls `wake` with each."""

    def __init__(self, wake: Callable[[], None]) -> None:
        #: Runs whose last decision was that no runner can take them.
        self.waiting: set[str] = set()
        #: Runs that are being finished from outside just now: nothing else is decided about them.
        self.finishing: set[str] = set()
        self._wake = wake
        self._changed: dict[str, None] = {}
        self._room = False

    def add(self, *run_ids: str) -> None:
        """Decide about these runs."""
        self._changed.update(dict.fromkeys(run_ids))
        self._wake()

    def retry_waiting(self) -> None:
        """A slot may have become free: decide about the runs that wait for one."""
        if self.waiting:
            self._room = True
            self._wake()

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self.finishing.discard(run_id)
        self.waiting.discard(run_id)

    def take(self, runs: Mapping[str, RunView]) -> Batch:
        """Take what has to be decided off the queue."""
        changed = [runs[run_id] for run_id in self._changed if run_id in runs and run_id not in self.finishing]
        waiting = [runs[run_id] for run_id in self.waiting] if self._room else []
        self._changed.clear()
        self._room = False
        return Batch(changed, waiting)


class ThreadOrder:
    """For each thread its unfinished runs, oldest first: `order` is the database's insertion counter."""

    def __init__(self) -> None:
        self._lines: dict[str, list[tuple[int, str]]] = {}

    def join(self, thread: str, order: int, run_id: str) -> None:
        """Add an unfinished run."""
        insort(self._lines.setdefault(thread, []), (order, run_id))

    def leave(self, thread: str, order: int, run_id: str) -> bool:
        """Remove a run that has ended; False when it was not there."""
        line = self._lines.get(thread, [])
        place = bisect_left(line, (order, run_id))
        if line[place : place + 1] != [(order, run_id)]:
            return False
        del line[place]
        if not line:
            del self._lines[thread]
        return True

    def neighbours(self, thread: str, order: int, run_id: str) -> tuple[str | None, str | None]:
        """The runs right before and right behind this place, whether the run itself is there or not."""
        line = self._lines.get(thread, [])
        place = bisect_left(line, (order, run_id))
        behind = place + line[place : place + 1].count((order, run_id))
        return line[place - 1][1] if place else None, line[behind][1] if behind < len(line) else None

    def of(self, thread: str) -> list[str]:
        """The thread's runs, oldest first."""
        return [run_id for _, run_id in self._lines.get(thread, ())]
