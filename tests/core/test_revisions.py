"""Claims of runners that have a revision: an open thread goes on under the one that it began with."""

from __future__ import annotations

from uuid import UUID, uuid4

from relayrun_core.database import Database
from relayrun_core.db.agents import open_threads
from relayrun_core.db.claim import Answer, Claim, Claimed, WrongRevision, claim, release
from relayrun_core.db.finish import finish
from relayrun_core.db.runs import create_run, get_run
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, Outcome, PendingInterrupt, RunSpec
from relayrun_core.states import Reason

DONE = Outcome(Reason.SUCCEEDED, values=b"{}", interrupts=())
PAUSED = Outcome(Reason.WAITING_FOR_INPUT, values=b"{}", interrupts=(PendingInterrupt("0" * 32, "?", "task"),))


async def accepted(database: Database, thread: UUID, **more: object) -> UUID:
    new = NewRun(new_run_id(), thread, "support", "steps", RunSpec(**more))  # type: ignore[arg-type]
    await create_run(database, new)
    return new.run_id


async def claimed(database: Database, run: UUID, revision: str | None, attempt: int = 1, **more: bool) -> Answer:
    return await claim(database, Claim(run, attempt, uuid4(), "r", excused=True, revision=revision, **more))


async def revision_of(database: Database, run: UUID) -> str | None:
    found = await get_run(database, run)
    assert found is not None
    return found.revision


async def test_a_thread_that_waits_is_taken_by_its_own_revision_until_it_migrates(database: Database) -> None:
    thread = uuid4()
    first = await accepted(database, thread)
    assert await revision_of(database, first) is None
    assert isinstance(await claimed(database, first, "one", pinned=True), Claimed)
    queued = await accepted(database, thread)
    assert await revision_of(database, queued) == "one", "its thread is open"
    await finish(database, first, 1, PAUSED)
    assert await open_threads(database, "support") == {"one": 1}
    assert await claimed(database, queued, "two", pinned=True) == WrongRevision("one")
    assert isinstance(await claimed(database, queued, "one", pinned=True), Claimed)
    assert await release(database, queued, 1)
    assert await claimed(database, queued, "two", attempt=2, pinned=True) == WrongRevision("one")
    assert isinstance(await claimed(database, queued, "two", attempt=2), Claimed), "it migrates"
    assert await revision_of(database, queued) == "two"
    assert await open_threads(database, "support") == {"two": 1}


async def test_a_thread_that_has_ended_is_free(database: Database) -> None:
    thread = uuid4()
    first = await accepted(database, thread)
    await claimed(database, first, "one", pinned=True)
    await finish(database, first, 1, DONE)
    assert await open_threads(database, "support") == {}
    following = await accepted(database, thread)
    assert await revision_of(database, following) is None
    assert isinstance(await claimed(database, following, "two", pinned=True), Claimed)


async def test_runners_without_a_revision_claim_as_ever(database: Database) -> None:
    run = await accepted(database, uuid4())
    assert isinstance(await claimed(database, run, None), Claimed)
    assert await revision_of(database, run) is None
