"""Fires due crons: accepts the run and schedules the cron's next time in one transaction.

Lock order: the thread row, the cron row, then as everywhere. A cron that changed since it was read does not fire.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.crons import COLUMNS, Cron, to_cron
from relayrun_core.db.notify import NOTIFY_CREATED
from relayrun_core.db.pool import Connection
from relayrun_core.db.runs import create_within, raise_refusal
from relayrun_core.errors import RelayrunError, ThreadBusyError
from relayrun_core.runs import NewRun

_DUE = f"""
SELECT {COLUMNS}, now() AS now FROM crons WHERE next_run_at <= now()
ORDER BY row_number() OVER (PARTITION BY owner ORDER BY next_run_at), next_run_at LIMIT %s"""  # noqa: S608
_NEXT = "SELECT extract(epoch FROM min(next_run_at) - now())::float AS seconds FROM crons WHERE next_run_at IS NOT NULL"
# A thread that somebody holds for longer delays its own crons and no others.
_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', '1s', true)"
_LOCK_THREAD = "SELECT 1 FROM threads WHERE thread_id = %s FOR UPDATE"
_HOLD = "SELECT 1 FROM crons WHERE cron_id = %s AND revision = %s FOR UPDATE SKIP LOCKED"
_ADVANCE = """
UPDATE crons SET next_run_at = %(next)s, revision = revision + 1, refusal = left(%(refusal)s, 1024),
    last_run_id = coalesce(%(run)s, last_run_id),
    last_run_at = CASE WHEN %(run)s::uuid IS NULL THEN last_run_at ELSE now() END
WHERE cron_id = %(cron)s AND revision = %(revision)s"""


async def due_crons(database: Database, limit: int) -> list[tuple[Cron, datetime]]:
    """Crons whose time has come, each with the time; of each owner the longest due first, and in turn.

    Others may see the same ones.
    """
    return [(to_cron(row), row["now"]) for row in await database.fetch_all(_DUE, (limit,))]


async def seconds_until_due(database: Database) -> float | None:
    """The time until the next cron is due, negative when one is; None when none ever is."""
    row = await database.fetch_one(_NEXT)
    return row["seconds"] if row else None


@dataclass(frozen=True)
class Fired:
    """A cron's time came, and its run was accepted, or refused: `busy` because of its thread's other run."""

    refusal: str | None = None
    busy: bool = False


async def fire_cron(database: Database, cron: Cron, new: NewRun, next_run_at: datetime | None) -> Fired | None:
    """Accept the run and set the cron's next time, or neither. None: another replica did, or the cron has changed."""
    async with database.connection() as conn:
        async with conn.transaction():
            await conn.execute(_LOCK_TIMEOUT.encode())
            if cron.thread_id is not None:
                await conn.execute(_LOCK_THREAD.encode(), (cron.thread_id,))
            held = await (await conn.execute(_HOLD.encode(), (cron.cron_id, cron.revision))).fetchone()
            if held is None:
                return None
            fired = await _accept(conn, new)
            run = None if fired.refusal else new.run_id
            await conn.execute(_ADVANCE.encode(), _advance_params(cron, next_run_at, fired.refusal, run))
        # A transaction of its own: the hint must not be part of the commit that makes the run durable.
        await conn.execute(NOTIFY_CREATED.encode(), (new.run_id, new.thread_id))
        return fired


async def skip_cron(database: Database, cron: Cron, next_run_at: datetime | None, refusal: str | None) -> bool:
    """Set the cron's next time without a run. Returns False when another replica did, or the cron changed."""
    return await database.execute(_ADVANCE, _advance_params(cron, next_run_at, refusal, None)) > 0


async def _accept(conn: Connection, new: NewRun) -> Fired:
    try:
        raise_refusal(await create_within(conn, new), new)
    except RelayrunError as refused:
        return Fired(str(refused), busy=isinstance(refused, ThreadBusyError))
    return Fired()


def _advance_params(cron: Cron, next_run_at: datetime | None, refusal: str | None, run: UUID | None) -> dict[str, Any]:
    return {"cron": cron.cron_id, "revision": cron.revision, "next": next_run_at, "refusal": refusal, "run": run}
