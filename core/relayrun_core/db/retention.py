"""What nobody needs any more and no thread takes with it: events and outcomes of runs that ended long ago, graphs of
old builds.
"""

import asyncio
from datetime import timedelta

from relayrun_core.database import Database

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
_FORGET_OUTCOMES = "DELETE FROM run_outcomes WHERE run_id = ANY(%s)"
_MOVE_ON = "UPDATE tidied SET finished_at = %(finished_at)s, run_id = %(run_id)s WHERE rows_of = 'run_events'"
# Runners say anew what they offer when they start, so that one of an old build can be back.
_FORGET_DELETED = "DELETE FROM deleted_runs WHERE deleted_at < now() - %s"
_FORGET_BUILDS = """
DELETE FROM graphs g WHERE g.registered_at < now() - %s
  AND g.build <> (SELECT n.build FROM graphs n WHERE n.agent = g.agent ORDER BY n.registered_at DESC LIMIT 1)"""


async def forget_old_events(database: Database, keep: timedelta) -> int:
    """Remove the events of all runs that ended longer ago than `keep`; how many there were is returned.

    In small transactions; one process at a time, the others leave at once. The runs stay, and each thread's state; how
    an older run of it ended goes with its events.
    """
    keep = max(keep, SHORTEST)
    removed = 0
    while (events := await _forget_some(database, keep)) is not None:
        removed += events
        await asyncio.sleep(_PAUSE_SECONDS)
    return removed


async def forget_old_builds(database: Database, older_than: timedelta) -> int:
    """Remove what builds offered that are not their agent's newest and so old; how many graphs is returned."""
    return await database.execute(_FORGET_BUILDS, (older_than,))


async def forget_deleted_runs(database: Database, older_than: timedelta) -> int:
    """Remove the names of deleted runs that nobody can give to a runner any more; how many is returned."""
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
        if removed < _MOST_EVENTS:
            await conn.execute(_FORGET_OUTCOMES.encode(), runs)
            await conn.execute(_MOVE_ON.encode(), over[-1])
        return removed
