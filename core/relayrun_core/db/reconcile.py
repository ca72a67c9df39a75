"""The reconciler: repairs what a crash between two systems left behind. Every API replica runs it, and so does `dev`.

`decide` is pure and knows AgentRuns; where there are none (local mode) unfinished rows are the queue themselves.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.finish import finish_from_outside
from relayrun_core.db.rows import RUN_COLUMNS, to_run
from relayrun_core.errors import RunFinished, RunNotFound
from relayrun_core.runs import ObjectRef, Outcome, Run
from relayrun_core.states import Reason

logger = logging.getLogger("relayrun.reconcile")

_MARGIN = timedelta(seconds=5)

_CANCELLING = f"""
SELECT {RUN_COLUMNS} FROM runs r
WHERE r.status IN ('pending', 'running') AND r.cancel_requested_at IS NOT NULL ORDER BY r.seq LIMIT 1000"""  # noqa: S608 - our own column names


class Repair(Enum):
    """What the reconciler does about a run."""

    NOTHING = "nothing"
    CREATE_OBJECT = "create its AgentRun"
    FINISH_CANCELLED = "finish it as cancelled"
    COPY_OUTCOME = "copy how its AgentRun ended"
    CANCEL_OBJECT = "tell its AgentRun of the cancel again"


@dataclass(frozen=True)
class ObjectView:
    """What an uncached GET of a run's AgentRun found. `cluster_changed`: the namespace's or the kind's UID is new."""

    exists: bool
    finished_by_operator: bool = False
    cluster_changed: bool = False


def decide(run: Run, seen: ObjectView | None, *, dispatched: bool, now: datetime, grace: timedelta) -> Repair:
    """Decide what to do about an unfinished run. `seen` is None where there are no AgentRuns (local mode)."""
    if run.status.finished:
        return Repair.NOTHING
    if run.cancel_requested_at is not None and now - run.cancel_requested_at > grace + _MARGIN:
        return Repair.FINISH_CANCELLED
    if seen is None:
        return Repair.NOTHING
    if seen.exists:
        if seen.finished_by_operator:
            return Repair.COPY_OUTCOME
        return Repair.NOTHING if run.cancel_requested_at is None else Repair.CANCEL_OBJECT
    if seen.cluster_changed:
        return Repair.CREATE_OBJECT
    return Repair.FINISH_CANCELLED if dispatched or run.attempt > 0 else Repair.CREATE_OBJECT


async def reconcile(database: Database, *, now: datetime, grace_seconds: float) -> list[UUID]:
    """Finish the runs whose cancel nobody carried out within the grace, and return their ids.

    Several replicas may do this at once: finishing is idempotent.
    """
    grace = timedelta(seconds=grace_seconds)
    ended = []
    for run in map(to_run, await database.fetch_all(_CANCELLING)):
        if decide(run, None, dispatched=False, now=now, grace=grace) is not Repair.FINISH_CANCELLED:
            continue
        with suppress(RunFinished, RunNotFound):
            await finish_from_outside(database, run.run_id, Outcome(Reason.CANCELLED, "the run was cancelled"))
            logger.warning("no runner carried out the cancel in time", extra={"run": str(run.run_id)})
            ended.append(run.run_id)
    return ended


#: A new run is left to the replica that accepted it for so long.
_FIRST_LOOK_SECONDS = 2.0
#: A cancel that was accepted is looked after this often, until the run has ended.
_CANCEL_LOOK_SECONDS = 2.0
#: A run whose AgentRun was there is looked at this often.
_LOOK_SECONDS = 15.0
#: A refused creation is tried again after 1, 2, 4 … seconds, at most this.
_BACK_OFF_SECONDS = 60.0

# Replicas pass over each other's rows. `look_after` is moved on at once: a replica that dies costs one turn.
_DUE = f"""
UPDATE runs r SET look_after = now() + make_interval(secs => CASE WHEN r.cancel_requested_at IS NULL
                                                             THEN {_LOOK_SECONDS} ELSE {_CANCEL_LOOK_SECONDS} END)
FROM (SELECT run_id FROM runs
      WHERE status IN ('pending', 'running') AND (
          coalesce(look_after, created_at + make_interval(secs => {_FIRST_LOOK_SECONDS})) <= now()
          OR cancel_requested_at + make_interval(secs => {_CANCEL_LOOK_SECONDS}) <= now()
             AND look_after > now() + make_interval(secs => {_CANCEL_LOOK_SECONDS}))
      ORDER BY look_after NULLS FIRST, seq LIMIT %s FOR UPDATE SKIP LOCKED) AS due
WHERE r.run_id = due.run_id
RETURNING {RUN_COLUMNS}, r.dispatched_at, r.cluster, r.object, r.refusals"""  # noqa: S608 - our own column names

# Lost in a crash of Postgres, it would only have the AgentRun looked for once more.
_DISPATCHED = """
WITH asynchronous AS (SELECT set_config('synchronous_commit', 'off', true))
UPDATE runs SET dispatched_at = now(), cluster = %(cluster)s, object = NULL, refusals = 0, refusal = NULL
FROM asynchronous WHERE run_id = %(run)s AND status IN ('pending', 'running')"""

_SEEN = """
UPDATE runs SET dispatched_at = coalesce(dispatched_at, now()), cluster = %(cluster)s
WHERE run_id = %(run)s AND status IN ('pending', 'running')"""

_REFUSED = f"""
UPDATE runs SET refusals = refusals + 1, refusal = left(%(message)s, 1024),
    look_after = now() + make_interval(secs => least({_BACK_OFF_SECONDS}, power(2, least(refusals, 10))))
WHERE run_id = %(run)s AND status IN ('pending', 'running')"""  # noqa: S608

_OBJECT = "SELECT object FROM runs WHERE run_id = %s"

_CANCELLING_OF_THREAD = """
SELECT run_id FROM runs
WHERE thread_id = %s AND status IN ('pending', 'running') AND cancel_requested_at IS NOT NULL ORDER BY seq"""

_REFUSALS = """
SELECT count(*) AS runs, (array_agg(refusal ORDER BY seq))[1] AS message
FROM runs WHERE status = 'pending' AND refusal IS NOT NULL"""


@dataclass(frozen=True)
class Dispatch:
    """An unfinished run whose AgentRun is due for a check. `cluster` is where one was created; None when none was."""

    run: Run
    dispatched_at: datetime | None
    cluster: str | None
    object: ObjectRef | None
    refusals: int


async def due(database: Database, limit: int) -> list[Dispatch]:
    """Take unfinished runs that nobody has checked for a while, for this caller alone."""
    return [
        Dispatch(to_run(row), row["dispatched_at"], row["cluster"], _to_object(row["object"]), row["refusals"])
        for row in await database.fetch_all(_DUE, (limit,))
    ]


async def mark_dispatched(database: Database, run_id: UUID, cluster: str) -> None:
    """Record that the run's AgentRun was created: from now on its absence from that cluster means a deletion."""
    await database.execute(_DISPATCHED, {"run": run_id, "cluster": cluster})


async def mark_seen(database: Database, run_id: UUID, cluster: str) -> None:
    """Record that the run's AgentRun is in that cluster, whoever created it."""
    await database.execute(_SEEN, {"run": run_id, "cluster": cluster})


async def mark_refused(database: Database, run_id: UUID, message: str) -> None:
    """Record that the API server refused the AgentRun. It is tried again later."""
    await database.execute(_REFUSED, {"run": run_id, "message": message})


async def object_of(database: Database, run_id: UUID) -> ObjectRef | None:
    """The AgentRun that the run came with; None for a run that the API accepted."""
    row = await database.fetch_one(_OBJECT, (run_id,))
    return _to_object(row["object"]) if row else None


async def cancelling_runs(database: Database, thread_id: UUID) -> list[UUID]:
    """The thread's unfinished runs whose cancel was accepted."""
    return [row["run_id"] for row in await database.fetch_all(_CANCELLING_OF_THREAD, (thread_id,))]


async def refusals(database: Database) -> tuple[int, str | None]:
    """Return how many waiting runs have no AgentRun because it was refused, and why the oldest was refused."""
    row = await database.fetch_one(_REFUSALS)
    return (row["runs"], row["message"]) if row else (0, None)


def _to_object(value: dict[str, Any] | None) -> ObjectRef | None:
    return ObjectRef(**value) if value else None
