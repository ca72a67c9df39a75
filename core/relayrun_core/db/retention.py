"""What nobody needs any more and no thread takes with it: events, logs and outcomes of runs that ended long ago, graphs
of old builds.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.metadata_filter import MetadataFilter
from relayrun_core.db.notify import notify_thread
from relayrun_core.db.pool import Connection
from relayrun_core.db.rows import TtlStrategy
from relayrun_core.db.threads import forget

# A transaction is short whatever a run has told, and others get their turn between two.
_MOST_RUNS = 100
_MOST_EVENTS = 1000
_PAUSE_SECONDS = 0.05
#: No transaction is as long: a run may have ended so long ago and not be seen yet.
SHORTEST = timedelta(minutes=5)

# Whoever comes while another is at it leaves it to that one.
_PLACE = "SELECT finished_at, run_id FROM tidied WHERE rows_of = 'run_events' FOR UPDATE SKIP LOCKED"
_OVER = f"""
SELECT run_id, finished_at FROM runs
WHERE finished_at IS NOT NULL AND finished_at < now() - %(keep)s
  AND finished_at >= %(finished_at)s AND (finished_at, run_id) > (%(finished_at)s, %(run_id)s)
ORDER BY finished_at, run_id LIMIT {_MOST_RUNS}"""  # noqa: S608 - our own number
_FORGET = f"""
DELETE FROM run_events WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM run_events WHERE run_id = ANY(%s) LIMIT {_MOST_EVENTS}))"""  # noqa: S608
_FORGET_LOGS = f"""
DELETE FROM run_logs WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM run_logs WHERE run_id = ANY(%s) LIMIT {_MOST_EVENTS}))"""  # noqa: S608
_FORGET_OUTCOMES = "DELETE FROM run_outcomes WHERE run_id = ANY(%s)"
_MOVE_ON = "UPDATE tidied SET finished_at = %(finished_at)s, run_id = %(run_id)s WHERE rows_of = 'run_events'"
# Runners say anew what they offer when they start, so that one of an old build can be back.
_FORGET_DELETED = "DELETE FROM deleted_runs WHERE deleted_at < now() - %s"
_FORGET_BUILDS = """
DELETE FROM graphs g WHERE g.registered_at < now() - %s
  AND g.build <> (SELECT n.build FROM graphs n WHERE n.agent = g.agent ORDER BY n.registered_at DESC LIMIT 1)"""


async def forget_old_events(database: Database, keep: timedelta) -> int:
    """Remove the events of all runs that ended longer ago than `keep`. Returns how many events.

    In small transactions; one process at a time, the others leave at once. The runs stay, and each thread's state; how
    an older run of it ended, and what its code printed, goes with its events.
    """
    keep = max(keep, SHORTEST)
    removed = 0
    while (events := await _forget_some(database, keep)) is not None:
        removed += events
        await asyncio.sleep(_PAUSE_SECONDS)
    return removed


async def forget_old_builds(database: Database, older_than: timedelta) -> int:
    """Remove the graphs of old builds, except the newest of each agent. Returns how many graphs."""
    return await database.execute(_FORGET_BUILDS, (older_than,))


async def forget_deleted_runs(database: Database, older_than: timedelta) -> int:
    """Remove the names of deleted runs that can no longer reach a runner. Returns how many."""
    return await database.execute(_FORGET_DELETED, (older_than,))


async def _forget_some(database: Database, keep: timedelta) -> int | None:
    """None: there is no more, or another process is at it."""
    async with database.connection() as conn, conn.transaction():
        await conn.execute("SET LOCAL synchronous_commit = off")
        place = await (await conn.execute(_PLACE)).fetchone()
        if place is None:
            return None
        over = await (await conn.execute(_OVER.encode(), {"keep": keep, **place})).fetchall()
        if not over:
            return None
        runs = ([row["run_id"] for row in over],)
        removed = (await conn.execute(_FORGET.encode(), runs)).rowcount
        if removed < _MOST_EVENTS and (await conn.execute(_FORGET_LOGS.encode(), runs)).rowcount < _MOST_EVENTS:
            await conn.execute(_FORGET_OUTCOMES.encode(), runs)
            await conn.execute(_MOVE_ON.encode(), over[-1])
        return removed


#: At most so many threads are done with at a time.
BATCH = 100

# Accepted means kept: for a run, also one for later, and for a cron.
_UNFINISHED = "EXISTS (SELECT 1 FROM runs u WHERE u.thread_id = t.thread_id AND u.finished_at IS NULL)"
_TIMED = "EXISTS (SELECT 1 FROM crons c WHERE c.thread_id = t.thread_id AND c.next_run_at IS NOT NULL)"
_IDLE = f"NOT {_UNFINISHED} AND NOT {_TIMED}"
# Those that say themselves how long they are kept. A thread that was reduced is not looked at until it is used again.
_EXPIRED = f"""
SELECT thread_id, updated_at, coalesce(ttl_strategy, 'delete') AS strategy FROM threads t
WHERE ttl_minutes IS NOT NULL
  AND (ttl_strategy IS DISTINCT FROM 'keep_latest' OR pruned_at IS NULL OR pruned_at < updated_at)
  AND relayrun_expiry(updated_at, ttl_minutes) <= now() AND {_IDLE}
ORDER BY relayrun_expiry(updated_at, ttl_minutes) LIMIT {BATCH}"""  # noqa: S608 - our own words only
_UNUSED = f"""
SELECT thread_id, updated_at, 'delete' AS strategy FROM threads t
WHERE ttl_minutes IS NULL AND updated_at <= now() - %(unused)s::interval AND {_IDLE}
ORDER BY updated_at LIMIT {BATCH}"""  # noqa: S608
# Made for one run alone. Whoever uses such a thread again has as much time again.
_TEMPORARY = f"""
SELECT DISTINCT t.thread_id, t.updated_at, 'delete' AS strategy FROM runs r JOIN threads t USING (thread_id)
WHERE r.finished_at IS NOT NULL AND r.spec ->> 'on_completion' = 'delete'
  AND r.finished_at <= now() - %(temporary)s::interval AND t.updated_at <= now() - %(temporary)s::interval AND {_IDLE}
LIMIT {BATCH}"""  # noqa: S608
# Whatever happens to a thread changes when it was updated; one that somebody holds is in use, or being done with.
_LOCK_AS_SEEN = """
SELECT 1 FROM threads WHERE thread_id = %s AND updated_at = %s
  AND (%s = 'delete' OR pruned_at IS NULL OR pruned_at < updated_at)
FOR UPDATE SKIP LOCKED"""
_STILL_IDLE = f"SELECT 1 FROM threads t WHERE thread_id = %s AND {_IDLE}"  # noqa: S608
_LOCK_VISIBLE = """
SELECT 1 FROM threads
WHERE thread_id = %(thread)s AND (%(any_owner)s OR owner IS NOT DISTINCT FROM %(owner)s) AND {visible}
FOR UPDATE"""
_FINISHED = f"SELECT 1 FROM threads t WHERE thread_id = %s AND NOT {_UNFINISHED}"  # noqa: S608
_KEEP_LATEST = "SELECT relayrun_keep_latest(%s::text) AS kept"
_PRUNED = "UPDATE threads SET pruned_at = now() WHERE thread_id = %s"


@dataclass(frozen=True)
class Keep:
    """How long threads without a TTL of their own are kept: those of stateless runs, and, unless None, all others."""

    temporary: timedelta
    unused: timedelta | None = None


async def sweep_threads(database: Database, keep: Keep) -> int:
    """Delete or reduce all expired threads. Returns how many."""
    queries = [_EXPIRED, _TEMPORARY] + ([_UNUSED] if keep.unused is not None else [])
    done = 0
    for query in queries:
        while due := await database.fetch_all(query, {"temporary": keep.temporary, "unused": keep.unused}):
            swept = [await _sweep(database, row["thread_id"], row["updated_at"], row["strategy"]) for row in due]
            done += sum(swept)
            if len(due) < BATCH or not any(swept):
                break
    return done


async def prune_threads(
    database: Database,
    thread_ids: Sequence[UUID],
    strategy: TtlStrategy,
    *,
    owner: str | None,
    any_owner: bool,
    visible: MetadataFilter | None = None,
) -> int:
    """Delete or reduce those of the threads that the owner may see and that have no unfinished run.

    How many is returned.
    """
    done = 0
    condition, params = visible.sql("metadata") if visible else ("true", {})
    lock = _LOCK_VISIBLE.format(visible=condition)
    for thread_id in dict.fromkeys(thread_ids):
        which = {"thread": thread_id, "owner": owner, "any_owner": any_owner, **params}
        async with database.connection() as conn, conn.transaction():
            found = await _finds(conn, lock, which) and await _finds(conn, _FINISHED, (thread_id,))
            pruned = found and await _apply(conn, thread_id, strategy)
        done += pruned
        if pruned and strategy == "delete":
            await notify_thread(database, thread_id)
    return done


async def _sweep(database: Database, thread_id: UUID, seen: datetime, strategy: TtlStrategy) -> bool:
    async with database.connection() as conn, conn.transaction():
        if not await _finds(conn, _LOCK_AS_SEEN, (thread_id, seen, strategy)):
            return False
        # A statement behind the lock: only its snapshot is sure to have a run that came just before.
        if not await _finds(conn, _STILL_IDLE, (thread_id,)):
            return False
        await _apply(conn, thread_id, strategy)
    if strategy == "delete":
        await notify_thread(database, thread_id)
    return True


async def _finds(conn: Connection, statement: str, params: Any) -> bool:
    return await (await conn.execute(statement.encode(), params)).fetchone() is not None


async def _apply(conn: Connection, thread_id: UUID, strategy: TtlStrategy) -> bool:
    """False for a thread whose older checkpoints are needed."""
    if strategy == "delete":
        await forget(conn, thread_id)
        return True
    row = await (await conn.execute(_KEEP_LATEST.encode(), (thread_id,))).fetchone()
    await conn.execute(_PRUNED.encode(), (thread_id,))
    return bool(row and row["kept"])
