"""What is accepted, and what is refused: strategies, questions and answers, other owners."""

import asyncio
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from relayrun_core.database import Database, connection_options
from relayrun_core.db.claim import Claim, NotFound, claim
from relayrun_core.db.finish import finish
from relayrun_core.db.runs import create_run, ensure_run, list_runs
from relayrun_core.db.threads import DeletedRun, delete_thread, get_thread, idle_thread
from relayrun_core.errors import (
    ResumeConflict,
    RunNotFound,
    StaleAttempt,
    ThreadBusyError,
    ThreadInterrupted,
    ThreadNotFound,
)
from relayrun_core.ids import new_run_id
from relayrun_core.runs import BoundAnswer, NewRun, ObjectRef, Outcome, PendingInterrupt, Run, RunSpec
from relayrun_core.states import CancelAction, Reason, RunStatus, ThreadStatus
from tests.support.runs import DONE, accept, claimed, reread

ID = "a" * 32
OTHER_ID = "b" * 32


async def asking(database: Database, *interrupts: PendingInterrupt) -> Run:
    """A finished run whose thread waits at questions."""
    run = await claimed(database, await accept(database))
    outcome = Outcome(Reason.WAITING_FOR_INPUT, values=b"{}", interrupts=interrupts)
    await finish(database, run.run_id, 1, outcome)
    return await reread(database, run.run_id)


async def test_a_scalar_answer_is_bound_to_the_one_question(database: Database) -> None:
    run = await asking(database, PendingInterrupt(ID, "ok?", "task-1", answered=1))
    answer = await accept(database, thread=run.thread_id, command={"resume": "yes"})
    assert answer.spec.answers == [BoundAnswer(interrupt_id=ID, value="yes", task_id="task-1", answered=1)]


@pytest.mark.parametrize(
    ("resume", "questions"),
    [
        ("yes", ()),
        ("yes", (ID, OTHER_ID)),
        ({ID: "yes"}, (OTHER_ID,)),
        ({ID: "yes", OTHER_ID: "no"}, (ID,)),
    ],
)
async def test_an_answer_without_its_question_is_refused(
    database: Database, resume: Any, questions: tuple[str, ...]
) -> None:
    run = await asking(database, *(PendingInterrupt(question, "?", "task") for question in questions))
    with pytest.raises(ResumeConflict):
        await accept(database, thread=run.thread_id, command={"resume": resume})


async def test_a_double_clicked_answer_is_accepted_once(database: Database) -> None:
    run = await asking(database, PendingInterrupt(ID, "ok?", "task-1"))
    clicks = [accept(database, thread=run.thread_id, command={"resume": "yes"}) for _ in range(4)]
    results = await asyncio.gather(*clicks, return_exceptions=True)
    assert sum(isinstance(result, Run) for result in results) == 1
    assert sum(isinstance(result, ResumeConflict) for result in results) == 3


async def test_answers_named_by_id_may_be_some_of_several(database: Database) -> None:
    run = await asking(database, PendingInterrupt(ID, "a?", "task-1"), PendingInterrupt(OTHER_ID, "b?", "task-2"))
    answer = await accept(database, thread=run.thread_id, command={"resume": {OTHER_ID: {"b": 1}}})
    assert [bound.task_id for bound in answer.spec.answers] == ["task-2"]


async def test_new_input_for_a_waiting_thread_can_be_refused(database: Database) -> None:
    run = await asking(database, PendingInterrupt(ID, "ok?", "task-1"))
    new = NewRun(new_run_id(), run.thread_id, "default", "steps", RunSpec(input={}), require_not_interrupted=True)
    with pytest.raises(ThreadInterrupted):
        await create_run(database, new)


async def test_the_strategy_reject_refuses_a_busy_thread(database: Database) -> None:
    run = await accept(database)
    with pytest.raises(ThreadBusyError):
        await accept(database, thread=run.thread_id, multitask_strategy="reject")
    assert len(await list_runs(database, run.thread_id)) == 1


@pytest.mark.parametrize("action", list(CancelAction))
async def test_the_strategies_interrupt_and_rollback_cancel_what_runs(database: Database, action: CancelAction) -> None:
    run = await claimed(database, await accept(database))
    await accept(database, thread=run.thread_id, multitask_strategy=action.value)
    cancelled = await reread(database, run.run_id)
    assert cancelled.cancel_requested_at is not None
    assert cancelled.cancel_action is action


async def test_another_owners_thread_does_not_exist(database: Database) -> None:
    run = await accept(database, owner="ann")
    with pytest.raises(ThreadNotFound):
        await accept(database, thread=run.thread_id, owner="bob")


async def test_runs_of_a_thread_are_numbered_and_the_thread_is_busy_until_the_last_ends(database: Database) -> None:
    first = await accept(database)
    second = await accept(database, thread=first.thread_id)
    assert (first.number, second.number) == (1, 2)
    await finish(database, first.run_id, (await claimed(database, first)).attempt, DONE)
    thread = await get_thread(database, first.thread_id)
    assert thread is not None
    assert thread.status is ThreadStatus.BUSY


async def test_a_thread_with_an_unfinished_run_is_not_edited(database: Database) -> None:
    run = await accept(database)
    with pytest.raises(ThreadBusyError):
        async with idle_thread(database, run.thread_id):
            pytest.fail("the block must not run")
    await finish(database, run.run_id, (await claimed(database, run)).attempt, DONE)
    async with idle_thread(database, run.thread_id) as (_, thread):
        assert thread.thread_id == run.thread_id


async def test_a_thread_is_deleted_with_its_unfinished_runs_which_can_be_claimed_and_written_no_more(
    database: Database,
) -> None:
    first = await accept(database)
    second = await accept(database, thread=first.thread_id)
    attempt = (await claimed(database, first)).attempt
    ended = await delete_thread(database, first.thread_id)
    assert {run.run_id for run in ended} == {first.run_id, second.run_id}
    assert await get_thread(database, first.thread_id) is None
    with pytest.raises((StaleAttempt, RunNotFound)):
        await finish(database, first.run_id, attempt, DONE)
    assert isinstance(await claim(database, Claim(second.run_id, 1, uuid4(), "late")), NotFound)
    with pytest.raises(ThreadNotFound):
        await delete_thread(database, first.thread_id)


async def test_a_run_that_came_with_an_object_is_not_made_anew_behind_a_deletion(
    database: Database,
) -> None:
    theirs = ObjectRef("default", "refund", "uid-1")
    new = NewRun(new_run_id(), uuid4(), "default", "steps", RunSpec(), object=theirs)
    await ensure_run(database, new)
    assert await delete_thread(database, new.thread_id) == [DeletedRun(new.run_id, "default", theirs)]
    with pytest.raises(RunNotFound):
        await ensure_run(database, new)
    assert await get_thread(database, new.thread_id) is None
    again = NewRun(new_run_id(), new.thread_id, "default", "steps", RunSpec())
    await ensure_run(database, again)


async def test_a_thread_is_deleted_while_a_frozen_runner_holds_its_run(database: Database) -> None:
    run = await claimed(database, await accept(database))
    async with await psycopg.AsyncConnection.connect(database.url, **connection_options("runner")) as frozen:
        await frozen.execute("BEGIN")
        await frozen.execute("SELECT relayrun_fence(%s, %s)", (run.run_id, run.attempt))
        await delete_thread(database, run.thread_id)
        with pytest.raises(psycopg.OperationalError):
            await frozen.execute("COMMIT")
    assert await get_thread(database, run.thread_id) is None


async def test_a_run_on_a_missing_thread_is_refused_when_it_shall_not_be_made(database: Database) -> None:
    new = NewRun(new_run_id(), uuid4(), "default", "steps", RunSpec(), if_not_exists="reject")
    with pytest.raises(ThreadNotFound):
        await create_run(database, new)


def test_statuses_a_run_can_have_know_whether_they_are_final() -> None:
    unfinished = [status for status in RunStatus if not status.finished]
    assert unfinished == [RunStatus.DELAYED, RunStatus.PENDING, RunStatus.RUNNING]
