"""The fence: the check with which every write of an attempt begins, and what ends sessions that hold a run's lock."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg import errors

from relayrun_core.database import Database

logger = logging.getLogger("relayrun.database")

T = TypeVar("T")

#: Parameters: run id, attempt, thread id, and -1 before the write or 1 after it. New rows in between count as progress.
FENCE_ROWS = "SELECT relayrun_fence_rows(%s, %s, %s, %s)"

#: SQLSTATE of a refused write: the attempt no longer holds the run.
STALE = "RR001"

_LOCK_TRIES = 20


def is_stale(error: BaseException) -> bool:
    """Return whether the fence refused a write."""
    return isinstance(error, psycopg.Error) and error.sqlstate == STALE


async def breaking_frozen_holders(database: Database, run_id: UUID, attempt: Callable[[], Awaitable[T]]) -> T:
    """Call `attempt`, a transaction that takes the run's exclusive lock within 250 ms.

    When it cannot, the sessions that hold the lock are ended and it is called again: their process may be frozen
    between its fence and its commit, and would hold the lock for minutes. A session that is ended in error fails
    like on a restart of Postgres, and tries again.
    """
    for last in (*[False] * (_LOCK_TRIES - 1), True):
        try:
            return await attempt()
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            if last:
                raise
            row = await database.fetch_one("SELECT relayrun_break_lock(%s) AS ended", (run_id,))
            logger.warning("ended %s sessions that held the lock", row and row["ended"], extra={"run": str(run_id)})
    raise AssertionError("unreachable")
