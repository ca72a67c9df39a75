"""What has to be decided: which runs changed, which wait for room, and whether there may be some."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relayrun_operator.engine import RunView


@dataclass(frozen=True, slots=True)
class Taken:
    """What has to be decided now. `waiting`: the runs that wait for a slot, if there may be room."""

    changed: list[RunView]
    waiting: list[RunView]


class Agenda:
    """Notes what to decide about, and calls `wake` with each note."""

    def __init__(self, wake: Callable[[], None]) -> None:
        #: Runs whose last decision was that no runner can take them.
        self.waiting: set[str] = set()
        #: Runs that are being finished from outside just now: nothing else is decided about them.
        self.finishing: set[str] = set()
        self._wake = wake
        self._changed: dict[str, None] = {}
        self._room = False

    def touch(self, *run_ids: str) -> None:
        """Decide about these runs."""
        self._changed.update(dict.fromkeys(run_ids))
        self._wake()

    def make_room(self) -> None:
        """A slot may have become free: decide about the runs that wait for one."""
        if self.waiting:
            self._room = True
            self._wake()

    def drop(self, run_id: str) -> None:
        """The run has ended."""
        self.finishing.discard(run_id)
        self.waiting.discard(run_id)

    def take(self, runs: Mapping[str, RunView]) -> Taken:
        """What has to be decided; it is not told again."""
        changed = [runs[run_id] for run_id in self._changed if run_id in runs and run_id not in self.finishing]
        waiting = [runs[run_id] for run_id in self.waiting] if self._room else []
        self._changed.clear()
        self._room = False
        return Taken(changed, waiting)
