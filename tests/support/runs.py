"""Builders for runs in a real database: `accept`, `claimed`, `progress`."""

from typing import Any
from uuid import UUID, uuid4

from relayrun_core.database import Database
from relayrun_core.db.claim import Claim, Claimed, claim
from relayrun_core.db.runs import create_run, get_run
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, Outcome, Run, RunSpec
from relayrun_core.states import Reason

#: A fenced write that counts as progress; parameters: run id, attempt.
FENCE_PROGRESS = """
UPDATE runs SET progress = progress + 1
FROM (VALUES (%s::uuid, %s::integer)) AS w (run, attempt), LATERAL relayrun_fence(w.run, w.attempt)
WHERE run_id = w.run"""
DONE = Outcome(Reason.SUCCEEDED, values=b'{"answer": 1}', interrupts=())


async def accept(database: Database, *, thread: UUID | None = None, owner: str | None = None, **spec: Any) -> Run:
    """A pending run, on a thread of its own unless told."""
    new = NewRun(new_run_id(), thread or uuid4(), "default", "steps", RunSpec(**spec), owner=owner)
    await create_run(database, new)
    return await reread(database, new.run_id)


async def claimed(database: Database, run: Run, *, attempt: int = 1, holder: UUID | None = None, **wish: Any) -> Run:
    """The run, claimed."""
    answer = await claim(database, Claim(run.run_id, attempt, holder or uuid4(), "runner-1", **wish))
    assert isinstance(answer, Claimed), answer
    return answer.run


async def progress(database: Database, run: Run) -> None:
    """One fenced write of the run's attempt."""
    await database.execute(FENCE_PROGRESS, (run.run_id, run.attempt))


async def reread(database: Database, run_id: UUID) -> Run:
    """The run as it is now."""
    run = await get_run(database, run_id)
    assert run is not None
    return run
