"""Whether this runner can take runs, and if not, why: sentences by subject, for people and for `dev`."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Trouble:
    """One reason for not being ready. `traceback` is the author's, where their code failed."""

    message: str
    traceback: str | None = None


class Readiness:
    """What stands between this runner and its first run. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._troubles: dict[str, Trouble] = {"start": Trouble("the graphs are being loaded")}

    def set(self, subject: str, message: str, traceback: str | None = None) -> None:
        """This subject is in the way now."""
        with self._lock:
            self._troubles[subject] = Trouble(message, traceback)

    def clear(self, subject: str) -> None:
        """This subject is in order."""
        with self._lock:
            self._troubles.pop(subject, None)

    @property
    def ready(self) -> bool:
        """Whether nothing is in the way."""
        return not self._troubles

    def troubles(self) -> dict[str, Trouble]:
        """All that is in the way, by subject."""
        with self._lock:
            return dict(self._troubles)
