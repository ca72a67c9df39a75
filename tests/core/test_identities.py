"""AgentRuns that come again under another UID: known by namespace, name and spec, and executed once."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from relayrun_core.database import Database
from relayrun_core.db.finish import finish
from relayrun_core.db.identities import Earlier, Identity, forget_identities, note_cancelled
from relayrun_core.db.runs import ensure_run, get_run
from relayrun_core.db.threads import create_thread, delete_thread, forget
from relayrun_core.errors import ThreadNotFound
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, ObjectRef, Outcome, RunSpec
from relayrun_core.states import Reason
from tests.support.runs import DONE, claimed, reread


@pytest.fixture
def name() -> str:
    return f"refund-{uuid4()}"


def coming(name: str, *, namespace: str = "team", thread: UUID | None = None, owner: str | None = None) -> NewRun:
    """A run that came with an AgentRun of this name, under a UID of its own."""
    where = ObjectRef(namespace, name, str(uuid4()))
    return NewRun(new_run_id(), thread or uuid4(), "default", "steps", RunSpec(), owner=owner, object=where)


async def executed(database: Database, name: str, outcome: Outcome = DONE) -> NewRun:
    new = coming(name)
    assert await ensure_run(database, new, "hash") is None
    run = await claimed(database, await reread(database, new.run_id))
    await finish(database, run.run_id, 1, outcome)
    return new


async def test_one_that_comes_again_is_not_accepted_and_gets_the_run_that_was_there(
    database: Database, name: str
) -> None:
    first, again = await executed(database, name), coming(name)
    earlier = await ensure_run(database, again, "hash")
    assert earlier == Earlier(first.run_id, await reread(database, first.run_id), Reason.SUCCEEDED)
    assert await get_run(database, again.run_id) is None
    assert await ensure_run(database, first, "hash") is None, "it is no other one than itself"


async def test_another_spec_name_or_namespace_is_another_run(database: Database, name: str) -> None:
    await executed(database, name)
    assert await ensure_run(database, coming(name), "other hash") is None
    assert await ensure_run(database, coming(f"{name}-2"), "hash") is None
    assert await ensure_run(database, coming(name, namespace="other"), "hash") is None


async def test_its_end_is_known_when_its_thread_is_gone(database: Database, name: str) -> None:
    first = await executed(database, name)
    async with database.connection() as conn:
        await forget(conn, first.thread_id)
    assert await ensure_run(database, coming(name), "hash") == Earlier(first.run_id, None, Reason.SUCCEEDED)


async def test_one_whose_thread_was_deleted_meanwhile_counts_as_cancelled(database: Database, name: str) -> None:
    first = coming(name)
    await ensure_run(database, first, "hash")
    await delete_thread(database, first.thread_id)
    assert await ensure_run(database, coming(name), "hash") == Earlier(first.run_id, None, Reason.CANCELLED)


async def test_one_that_was_cancelled_before_any_runner_had_it_is_not_executed_later(
    database: Database, name: str
) -> None:
    first = coming(name)
    assert first.object is not None
    await note_cancelled(database, Identity(first.object, "hash"), first.run_id)
    assert await ensure_run(database, coming(name), "hash") == Earlier(first.run_id, None, Reason.CANCELLED)


async def test_one_that_was_refused_may_be_made_again(database: Database, name: str) -> None:
    thread = await create_thread(database, uuid4(), owner="ann")
    with pytest.raises(ThreadNotFound):
        await ensure_run(database, coming(name, thread=thread.thread_id, owner="bob"), "hash")
    assert await ensure_run(database, coming(name), "hash") is None


async def test_a_later_run_of_its_thread_is_told(database: Database, name: str) -> None:
    first = await executed(database, name, Outcome(Reason.WAITING_FOR_INPUT, values=b"{}", interrupts=()))
    later = coming(f"{name}-2", thread=first.thread_id)
    await ensure_run(database, later, "hash")
    waits = await ensure_run(database, coming(name), "hash")
    await claimed(database, await reread(database, later.run_id))
    goes_on = await ensure_run(database, coming(name), "hash")
    assert waits is not None
    assert goes_on is not None
    assert (waits.continued, goes_on.continued) == (False, True)


async def test_of_many_that_come_at_once_one_is_accepted(database: Database, name: str) -> None:
    many = [coming(name) for _ in range(8)]
    answers = await asyncio.gather(*(ensure_run(database, new, "hash") for new in many))
    (accepted,) = [new for new, earlier in zip(many, answers, strict=True) if earlier is None]
    assert {earlier.run_id for earlier in answers if earlier} == {accepted.run_id}


async def test_what_nobody_made_again_for_long_is_forgotten(database: Database, name: str) -> None:
    first = await executed(database, name)
    await forget_identities(database, timedelta(days=1))
    assert await ensure_run(database, coming(name), "hash") is not None
    old = "UPDATE agentrun_identities SET seen_at = seen_at - interval '2 days' WHERE run_id = %s"
    await database.execute(old, (first.run_id,))
    await forget_identities(database, timedelta(days=1))
    assert await ensure_run(database, coming(name), "hash") is None
