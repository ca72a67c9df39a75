"""Runs that were accepted for later: with which there is something to do, and how they join their thread's line.

Whoever is there may do it; a run that two try to line up is lined up once.
"""

import logging
from enum import StrEnum
from typing import Any
from uuid import UUID

from relayrun_core.database import Database, breaking_frozen_holders
from relayrun_core.db.notify import NOTIFY_BOTH, NOTIFY_CREATED, notify_params

logger = logging.getLogger("relayrun.later")

_DUE = """
WITH soon AS (
    SELECT run_id, owner, seq, coalesce(cancel_requested_at, created_at) AS time FROM runs
    WHERE status = 'delayed' AND coalesce(cancel_requested_at, created_at) <= now() + make_interval(secs => %s)
)
SELECT run_id, extract(epoch FROM time - now())::float AS seconds FROM soon
ORDER BY time > now(), row_number() OVER (PARTITION BY owner ORDER BY time, seq), time LIMIT %s"""
_LINE_UP = """
SELECT relayrun_line_up_v1(%(run)s) AS answer, (SELECT thread_id FROM runs WHERE run_id = %(run)s) AS thread"""


class LinedUp(StrEnum):
    """What became of a delayed run."""

    LINED_UP = "LinedUp"
    #: A later run displaced it before its time.
    CANCELLED = "Cancelled"
    #: Somebody else was quicker.
    NOT_YET = "NotYet"


async def due_later(database: Database, within_seconds: float, limit: int = 100) -> list[tuple[UUID, float]]:
    """Delayed runs with something to do within the time, and in how many seconds; 0 or less: now.

    Those that are due come first, of each owner the soonest first, and the owners in turn.
    """
    rows = await database.fetch_all(_DUE, (within_seconds, limit))
    return [(row["run_id"], row["seconds"]) for row in rows]


async def line_up(database: Database, run_id: UUID) -> LinedUp:
    """Let a delayed run whose time has come join its thread's line, and say so to who places runs."""

    async def attempt() -> dict[str, Any] | None:
        async with database.connection() as conn:
            row = await (await conn.execute(_LINE_UP.encode(), {"run": run_id})).fetchone()
            match row and row["answer"]:
                case LinedUp.LINED_UP:
                    assert row is not None
                    await conn.execute(NOTIFY_CREATED.encode(), (run_id, row["thread"]))
                case LinedUp.CANCELLED:
                    await conn.execute(NOTIFY_BOTH.encode(), notify_params(run_id))
            return row

    row = await breaking_frozen_holders(database, run_id, attempt)
    return LinedUp(row["answer"]) if row else LinedUp.NOT_YET
