"""What the reconciler decides about a run whose two halves, row and AgentRun, do not agree."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relayrun_core.database import Database
from relayrun_core.db.reconcile import ObjectView, Repair, decide, reconcile
from relayrun_core.db.runs import request_cancel
from relayrun_core.runs import Run
from relayrun_core.states import CancelAction, RunStatus
from tests.support.runs import accept, claimed, reread

GRACE = timedelta(seconds=5)
GONE = ObjectView(exists=False)
THERE = ObjectView(exists=True)
REBUILT = ObjectView(exists=False, cluster_changed=True)
ENDED_THERE = ObjectView(exists=True, finished_by_operator=True)


@pytest.fixture
async def run(database: Database) -> Run:
    return await accept(database)


@pytest.mark.parametrize(
    ("changes", "seen", "dispatched", "repair"),
    [
        ({}, GONE, False, Repair.CREATE_OBJECT),
        ({}, GONE, True, Repair.FINISH_CANCELLED),
        ({"attempt": 1, "status": RunStatus.RUNNING}, GONE, False, Repair.FINISH_CANCELLED),
        ({"attempt": 1}, REBUILT, True, Repair.CREATE_OBJECT),
        ({}, THERE, True, Repair.NOTHING),
        ({}, ENDED_THERE, True, Repair.COPY_OUTCOME),
        ({"attempt": 1, "cancel_requested_at": datetime(2100, 1, 1, tzinfo=UTC)}, THERE, True, Repair.CANCEL_OBJECT),
        (
            {"attempt": 1, "cancel_requested_at": datetime(2100, 1, 1, tzinfo=UTC)},
            ENDED_THERE,
            True,
            Repair.COPY_OUTCOME,
        ),
        ({"status": RunStatus.SUCCESS}, GONE, True, Repair.NOTHING),
        ({}, None, False, Repair.NOTHING),
    ],
)
async def test_the_reconcilers_table(
    run: Run, changes: dict[str, Any], seen: ObjectView | None, dispatched: bool, repair: Repair
) -> None:
    decided = decide(replace(run, **changes), seen, dispatched=dispatched, now=datetime.now(UTC), grace=GRACE)
    assert decided is repair


@pytest.mark.parametrize(("waited", "repair"), [(9.9, Repair.NOTHING), (10.1, Repair.FINISH_CANCELLED)])
async def test_a_cancel_is_carried_out_here_only_after_the_grace(run: Run, waited: float, repair: Repair) -> None:
    asked = datetime.now(UTC)
    cancelled = replace(run, cancel_requested_at=asked, attempt=1, status=RunStatus.RUNNING)
    now = asked + timedelta(seconds=waited)
    assert decide(cancelled, None, dispatched=False, now=now, grace=GRACE) is repair


async def test_a_cancel_that_no_runner_carried_out_ends_the_run(database: Database) -> None:
    run = await claimed(database, await accept(database))
    await request_cancel(database, run.run_id, CancelAction.INTERRUPT)
    assert await reconcile(database, now=datetime.now(UTC), grace_seconds=5) == []
    later = datetime.now(UTC) + timedelta(seconds=11)
    assert await reconcile(database, now=later, grace_seconds=5) == [run.run_id]
    assert (await reread(database, run.run_id)).status is RunStatus.CANCELLED
    assert await reconcile(database, now=later, grace_seconds=5) == []
