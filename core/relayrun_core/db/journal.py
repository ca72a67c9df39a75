"""The journal: a run's events. Its attempt appends them; streams read them in pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.arrays import BIGINT, TEXT
from relayrun_core.db.pool import Connection

_APPEND = "SELECT relayrun_append(%s, %s, %s, %s, %s)"
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
    """One event; `data` is JSON. `seq` = attempt · 2^32 + n, so a later attempt's events come later.

    `at`: when it was written, where it is known.
    """

    seq: int
    event: str
    data: bytes
    at: datetime | None = field(default=None, compare=False)

    @property
    def attempt(self) -> int:
        """The attempt that wrote it."""
        return self.seq >> 32


def first_seq(attempt: int) -> int:
    """Return the seq of an attempt's first event."""
    return (attempt << 32) + 1


async def append(conn: Connection, run_id: UUID, attempt: int, events: Sequence[Event]) -> None:
    """Append events behind the fence, in one asynchronous commit. Skips events that exist already.

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
    """Return at most `limit` events after `after_seq`, in order."""
    rows = await database.fetch_all(_READ, (run_id, after_seq, limit))
    return [Event(row["seq"], row["event"], row["data"].encode()) for row in rows]


# octet_length of a stored text reads its header only, so the bound costs no detoasting. The first event always comes.
_PAGE = """
SELECT seq, event, data, created_at, (SELECT number FROM runs WHERE run_id = %(run)s) AS number FROM (
    SELECT seq, event, data, created_at, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS before
    FROM run_events WHERE run_id = %(run)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s) AS page
WHERE before < %(bytes)s ORDER BY seq"""
_NEWEST = """
SELECT e.seq, e.event, r.number FROM run_events e JOIN runs r USING (run_id)
WHERE e.run_id = %s AND e.seq > %s ORDER BY e.seq DESC LIMIT 1"""
_NEWS = """
SELECT w.run_id, e.seq FROM unnest(%s::uuid[], %s::bigint[]) AS w (run_id, seq) CROSS JOIN LATERAL (
    SELECT seq FROM run_events WHERE run_id = w.run_id AND run_events.seq > w.seq ORDER BY seq DESC LIMIT 1) AS e"""


PAGE_EVENTS = 500
# What a reader that stops reading costs is a few times this, and there may be a thousand of them.
PAGE_BYTES = 250_000


@dataclass(frozen=True)
class Page:
    """Some events of a run, in order; `number` says which run of its thread it is, for the events' ids."""

    events: list[Event]
    number: int

    @property
    def full(self) -> bool:
        """Whether the bounds ended the page, so that there may be more behind it."""
        return len(self.events) >= PAGE_EVENTS or sum(len(event.data) for event in self.events) >= PAGE_BYTES


async def read_page(database: Database, run_id: UUID, after_seq: int) -> Page | None:
    """Return the events after `after_seq`, up to `PAGE_EVENTS` or `PAGE_BYTES`; None when there are none."""
    params = {"run": run_id, "after": after_seq, "limit": PAGE_EVENTS, "bytes": PAGE_BYTES}
    rows = await database.fetch_all(_PAGE, params)
    if not rows:
        return None
    events = [Event(row["seq"], row["event"], row["data"].encode(), row["created_at"]) for row in rows]
    return Page(events, rows[0]["number"])


async def read_newest(database: Database, run_id: UUID, after_seq: int) -> Page | None:
    """Return the run's newest event after `after_seq`, without its data."""
    row = await database.fetch_one(_NEWEST, (run_id, after_seq))
    return Page([Event(row["seq"], row["event"], b"")], row["number"]) if row else None


async def newest_events(database: Database, positions: Mapping[UUID, int]) -> dict[UUID, int]:
    """Return the newest seq of each run that has events after the given seq."""
    rows = await database.fetch_all(_NEWS, (list(positions), list(positions.values())))
    return {row["run_id"]: row["seq"] for row in rows}


# By seq, whose index gives numbers in their order too; only few specs are read until one without answers is found.
_TURN = """
SELECT r.number FROM runs r WHERE r.thread_id = %(thread)s AND r.number > 0
    AND coalesce(jsonb_array_length(nullif(r.spec -> 'answers', 'null')), 0) = 0
    AND r.number <= coalesce(
        (SELECT min(u.number) FROM runs u WHERE u.thread_id = %(thread)s AND u.status IN ('pending', 'running')),
        (SELECT max(n.number) FROM runs n WHERE n.thread_id = %(thread)s))
ORDER BY r.seq DESC LIMIT 1"""
_TIMED_PAGE = """
SELECT seq, event, data, at, (SELECT number FROM runs WHERE run_id = %(run)s) AS number FROM (
    SELECT seq, event, data, (extract(epoch FROM created_at) * 1000)::bigint AS at,
        sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS before
    FROM run_events WHERE run_id = %(run)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s) AS page
WHERE before < %(bytes)s ORDER BY seq"""


@dataclass(frozen=True)
class TimedPage(Page):
    """A page that says when each of its events was written, in milliseconds since 1970."""

    times: list[int] = field(default_factory=list)


async def newest_turn(database: Database, thread_id: UUID) -> int:
    """Return the number of the first run of the current turn, or of the newest turn; 0 when there is none."""
    row = await database.fetch_one(_TURN, {"thread": thread_id})
    return int(row["number"]) if row else 0


async def read_timed_page(database: Database, run_id: UUID, after_seq: int) -> TimedPage | None:
    """As `read_page`, with times."""
    params = {"run": run_id, "after": after_seq, "limit": PAGE_EVENTS, "bytes": PAGE_BYTES}
    rows = await database.fetch_all(_TIMED_PAGE, params)
    if not rows:
        return None
    events = [Event(row["seq"], row["event"], row["data"].encode()) for row in rows]
    return TimedPage(events, rows[0]["number"], [row["at"] for row in rows])
