"""How a runner's connections to the database are shared among its parts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConnectionShares:
    """What each part may have at most. Each has its own: none can starve another, and none waits for another's."""

    #: Checkpoints, journals and results of all runs, and edits of threads.
    graphs: int
    #: Store calls, of nodes and, one at a time, of clients.
    store: int
    #: Claims are short: one connection keeps up with a hundred runs a second.
    claims: int = 1
    #: Questions about states and histories.
    reading: int = 1

    @classmethod
    def of(cls, total: int) -> "ConnectionShares":
        """The shares of so many connections, four or more."""
        rest = total - cls.claims - cls.reading
        store = max(1, rest * 2 // 5)
        return cls(graphs=rest - store, store=store)

    @property
    def edits(self) -> int:
        """How many edits of threads may hold one of the graphs' while author code runs."""
        return max(1, self.graphs // 2)
