"""What who follows a thread needs: its runs one after the other, and the edits of its state between them.

Edits have places in the journals' order: behind all events of the run before them. No run is unfinished while a state
is edited, so none of that run's events comes later.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.pool import Connection
from relayrun_core.states import RunStatus

#: Greater than the seq of any event; an edit's is greater than this.
BEHIND_ALL_EVENTS = 2**62
#: So many edits of a thread are kept.
KEPT_EDITS = 20

_NOW = f"""
SELECT coalesce(r.number, t.run_count) AS number,
    CASE WHEN r.run_id IS NULL
         THEN coalesce((SELECT max(seq) FROM thread_edits e
                        WHERE e.thread_id = t.thread_id AND e.number = t.run_count), {BEHIND_ALL_EVENTS})
         ELSE coalesce((SELECT max(seq) FROM run_events e WHERE e.run_id = r.run_id), -1) END AS seq,
    t.run_count
FROM threads t LEFT JOIN LATERAL (
    SELECT run_id, number FROM runs
    WHERE thread_id = t.thread_id AND status IN ('pending', 'running') ORDER BY seq LIMIT 1) AS r ON true
WHERE t.thread_id = %s"""  # noqa: S608 - our own number
# Runs that were accepted for later have no place in the thread's line yet, and the number 0.
_AT = "SELECT run_id, number, status FROM runs WHERE thread_id = %s AND number = %s AND number > 0"
_NEXT = "SELECT run_id, number, status FROM runs WHERE thread_id = %s AND number > %s ORDER BY number LIMIT 1"
_EXISTS = "SELECT 1 FROM threads WHERE thread_id = %s"
# One at a time: each is a whole state.
_EDIT = """
SELECT seq, data FROM thread_edits
WHERE thread_id = %s AND number = %s AND seq > %s ORDER BY seq LIMIT 1"""
_NOTE = f"""
INSERT INTO thread_edits (thread_id, number, seq, data)
SELECT t.thread_id, t.run_count, coalesce(max(e.seq), {BEHIND_ALL_EVENTS}) + 1, %(data)s
FROM threads t LEFT JOIN thread_edits e ON e.thread_id = t.thread_id AND e.number = t.run_count
WHERE t.thread_id = %(thread)s GROUP BY t.thread_id, t.run_count"""  # noqa: S608
_FORGET_OLD = f"""
DELETE FROM thread_edits WHERE thread_id = %(thread)s AND (number, seq) IN (
    SELECT number, seq FROM thread_edits WHERE thread_id = %(thread)s
    ORDER BY number DESC, seq DESC OFFSET {KEPT_EDITS})"""  # noqa: S608


@dataclass(frozen=True)
class Place:
    """Where a reader of a thread is: it has all of the runs before the `number`-th, and of that one all up to `seq`."""

    number: int = 0
    seq: int = -1


@dataclass(frozen=True)
class NumberedRun:
    """A run as one of its thread's."""

    run_id: UUID
    number: int
    status: RunStatus


@dataclass(frozen=True)
class Edit:
    """An edit of a thread's state; `data` is JSON."""

    seq: int
    data: bytes


async def place_now(database: Database, thread_id: UUID) -> tuple[Place, int]:
    """Where a reader begins that wants what comes from now on, and how many runs there were; (0, -1), 0: no thread."""
    row = await database.fetch_one(_NOW, (thread_id,))
    return (Place(row["number"], row["seq"]), row["run_count"]) if row else (Place(), 0)


async def run_at(database: Database, thread_id: UUID, number: int) -> NumberedRun | None:
    """The thread's run of this number, unless it was forgotten."""
    return _numbered(await database.fetch_one(_AT, (thread_id, number)))


async def run_behind(database: Database, thread_id: UUID, number: int) -> NumberedRun | None:
    """The thread's next run."""
    return _numbered(await database.fetch_one(_NEXT, (thread_id, number)))


async def edit_behind(database: Database, thread_id: UUID, place: Place) -> Edit | None:
    """The next edit of the thread behind the place's run."""
    row = await database.fetch_one(_EDIT, (thread_id, place.number, max(place.seq, BEHIND_ALL_EVENTS)))
    return Edit(row["seq"], row["data"].encode()) if row else None


async def thread_exists(database: Database, thread_id: UUID) -> bool:
    """Whether there is such a thread."""
    return await database.fetch_one(_EXISTS, (thread_id,)) is not None


async def note_edit(conn: Connection, thread_id: UUID, data: bytes) -> None:
    """Keep an edit for who follows the thread; the oldest are forgotten. In `idle_thread`."""
    params: dict[str, Any] = {"thread": thread_id, "data": data.decode()}
    await conn.execute(_NOTE.encode(), params)
    await conn.execute(_FORGET_OLD.encode(), params)


def _numbered(row: dict[str, Any] | None) -> NumberedRun | None:
    return NumberedRun(row["run_id"], row["number"], RunStatus(row["status"])) if row else None
