"""The reconciler: puts right what a crash between two systems left behind. Every API replica runs it; so does `dev`.

`decide` is pure and knows AgentRuns; where there are none (local mode) unfinished rows are the queue themselves.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.finish import finish_from_outside
from relayrun_core.db.rows import RUN_COLUMNS, to_run
from relayrun_core.errors import RunFinished, RunNotFound
from relayrun_core.runs import Outcome, Run
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
    """What to do about an unfinished run. `seen` None: there are no AgentRuns in this world."""
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
    """Finish the runs whose cancel nobody carried out within the grace; their ids are returned.

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
