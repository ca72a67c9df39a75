"""What one owner has due in great number comes in turn with what others have."""

from datetime import timedelta
from uuid import uuid4

from relayrun_core.database import Database
from relayrun_core.db.cron_firing import due_crons
from relayrun_core.db.crons import NewCron, create_cron, database_now
from relayrun_core.db.runs import create_run
from relayrun_core.db.starting import due_later
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, RunSpec


async def test_due_crons_come_in_turn_by_owner(database: Database) -> None:
    now = await database_now(database)
    for number, owner in enumerate(["mallory"] * 4 + ["alice", None]):
        cron = NewCron(
            agent=None,
            cron_id=uuid4(),
            owner=owner,
            runs_as=owner,
            as_admin=False,
            assistant_id=uuid4(),
            assistant_version=None,
            thread_id=None,
            schedule="* * * * *",
            timezone=None,
            payload={},
            on_run_completed=None,
            end_time=None,
            enabled=True,
            next_run_at=now - timedelta(minutes=10 - number),
            made_by=None,
        )
        await create_cron(database, cron, limit=None)
    assert [cron.owner for cron, _ in await due_crons(database, 4)] == ["mallory", "alice", None, "mallory"]


async def test_delayed_runs_come_in_turn_by_owner(database: Database) -> None:
    owners = {}
    for number, owner in enumerate(["mallory"] * 4 + ["alice", None, "bob"]):
        run = NewRun(new_run_id(), uuid4(), "default", "steps", RunSpec(), owner=owner, delay_seconds=3600)
        await create_run(database, run)
        due_in = 30 if owner == "bob" else number - 60
        due = "UPDATE runs SET created_at = now() + make_interval(secs => %s) WHERE run_id = %s"
        await database.execute(due, (due_in, run.run_id))
        owners[run.run_id] = owner
    soon = await due_later(database, 60, 7)
    assert [owners[run_id] for run_id, _ in soon] == ["mallory", "alice", None, "mallory", "mallory", "mallory", "bob"]
    assert [seconds > 0 for _, seconds in soon] == [False] * 6 + [True]
