"""The order of unfinished runs within each thread."""

from bisect import insort


class ThreadLines:
    """For each thread its runs, oldest first: `order` is the database's insertion counter."""

    def __init__(self) -> None:
        self._lines: dict[str, list[tuple[int, str]]] = {}

    def join(self, thread: str, order: int, run_id: str) -> None:
        """The run is unfinished."""
        insort(self._lines.setdefault(thread, []), (order, run_id))

    def leave(self, thread: str, order: int, run_id: str) -> bool:
        """The run has ended; False when it was not in line."""
        line = self._lines.get(thread, [])
        if (order, run_id) not in line:
            return False
        line.remove((order, run_id))
        if not line:
            del self._lines[thread]
        return True

    def of(self, thread: str) -> list[str]:
        """The thread's runs, oldest first."""
        return [run_id for _, run_id in self._lines.get(thread, ())]
