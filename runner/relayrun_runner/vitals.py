"""What every run of a process needs and author code could end: without it the process must not live on."""

from collections.abc import Callable


class Vitals:
    """The parts by name, each with a question that is answered by True once it has ended. For any thread."""

    def __init__(self) -> None:
        self._parts: dict[str, Callable[[], bool]] = {}

    def add(self, name: str, has_ended: Callable[[], bool]) -> None:
        """The process cannot go on without this part."""
        self._parts[name] = has_ended

    def ended(self) -> str | None:
        """The name of a part that has ended; None while all are there."""
        return next((name for name, has_ended in list(self._parts.items()) if has_ended()), None)
