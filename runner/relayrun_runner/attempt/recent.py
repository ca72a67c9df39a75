"""The events of an attempt that readers may have seen and that a crash of Postgres may forget."""

from collections import deque

from relayrun_core.clock import monotonic_seconds
from relayrun_core.database import Database
from relayrun_core.db.journal import Event

# A crash of Postgres loses at most the last `wal_writer_delay`s of asynchronous commits: 3 s is 15 of them.
_SECONDS = 3.0


class RecentEvents:
    """What was committed asynchronously of late, to be told again when a commit meets another server.

    Postgres flushes its log in order, so a synchronous commit makes all before it on that server durable as well.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events: deque[tuple[float, Event]] = deque()
        # How many connections had been made at the last commit, and at the one that is being tried.
        self._connections = -1
        self._connections_used = -1

    def all(self) -> list[Event]:
        """Those that only the next synchronous commit makes safe."""
        return [event for _, event in self._events]

    def to_tell_again(self) -> list[Event]:
        """What the commit that is about to be sent has to carry: a new connection may mean that Postgres crashed.

        Asked with a connection in hand. Asked before, the very one that was waited for would be the first new one, and
        new events would come before the lost ones, which readers then miss.
        """
        self._connections_used = self._database.connections_made
        return self.all() if self._connections_used != self._connections else []

    def committed(self, events: list[Event], *, durable: bool) -> None:
        """The commit succeeded, with these new events. `durable`: it was a synchronous one."""
        now = monotonic_seconds()
        if durable:
            self._events.clear()
        else:
            if self._connections_used != self._connections:  # all of them were committed anew just now
                self._events = deque((now, event) for _, event in self._events)
            self._events.extend((now, event) for event in events)
            while self._events and now - self._events[0][0] > _SECONDS:
                self._events.popleft()
        self._connections = self._connections_used
