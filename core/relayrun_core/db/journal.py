"""The journal: a run's events, in order, to be replayed from anywhere. `retention` forgets them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relayrun_core.arrays import BIGINT, TEXT
from relayrun_core.database import Database
from relayrun_core.pool import Connection

_APPEND = "SELECT relayrun_append_v1(%s, %s, %s, %s, %s)"
#: The same insert for a transaction that is behind the fence already; its parameters come from `insert_params`.
INSERT_EVENTS = """
INSERT INTO run_events (run_id, seq, event, data)
SELECT %s, e.seq, e.event, e.data FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS e (seq, event, data)
ON CONFLICT (run_id, seq) DO NOTHING"""
_READ = """
SELECT seq, event, data FROM run_events WHERE run_id = %s AND seq > %s ORDER BY seq LIMIT %s"""

#: Every run's last event.
END = "end"


@dataclass(frozen=True)
class Event:
    """One event; `data` is JSON. `seq` = attempt · 2^32 + n, so a later attempt's events come later."""

    seq: int
    event: str
    data: bytes

    @property
    def attempt(self) -> int:
        """The attempt that wrote it."""
        return self.seq >> 32


def first_seq(attempt: int) -> int:
    """The seq of an attempt's first event."""
    return (attempt << 32) + 1


async def append(conn: Connection, run_id: UUID, attempt: int, events: Sequence[Event]) -> None:
    """Append events in one asynchronous commit behind the fence; events that are there already are skipped.

    Raises psycopg's error with SQLSTATE `RR001` when the attempt does not hold the run (`is_stale` tells).
    """
    await conn.execute(_APPEND.encode(), (run_id, attempt, *event_columns(events)))


def insert_params(run_id: UUID, events: Sequence[Event]) -> tuple[Any, ...]:
    """The parameters of INSERT_EVENTS."""
    return (run_id, *event_columns(events))


def event_columns(events: Sequence[Event]) -> tuple[bytes, bytes, bytes]:
    """The events' seqs, names and data, each as an array."""
    return (
        BIGINT(event.seq for event in events),
        TEXT(event.event for event in events),
        TEXT(event.data.decode() for event in events),
    )


async def read_events(database: Database, run_id: UUID, after_seq: int, limit: int = 500) -> list[Event]:
    """At most `limit` events behind `after_seq`, in order."""
    rows = await database.fetch_all(_READ, (run_id, after_seq, limit))
    return [Event(row["seq"], row["event"], row["data"].encode()) for row in rows]
