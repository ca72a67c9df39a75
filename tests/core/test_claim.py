"""Claim, fence and finish, with racing connections."""

import asyncio
from uuid import uuid4

import orjson
import psycopg
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database, connection_options
from relayrun_core.db.claim import BackOff, Claim, Claimed, Finished, NotFound, Stale, ThreadBusy, claim, release
from relayrun_core.db.fence import is_stale
from relayrun_core.db.finish import finish, finish_from_outside
from relayrun_core.db.journal import END, Event, append, first_seq, read_events
from relayrun_core.db.notify import EVENTS_CHANNEL, Listener
from relayrun_core.db.reconcile import due
from relayrun_core.db.runs import request_cancel
from relayrun_core.db.threads import get_thread
from relayrun_core.errors import RunFinished, StaleAttempt
from relayrun_core.runs import Outcome
from relayrun_core.states import CancelAction, Reason, RunStatus, ThreadStatus
from tests.support.postgres import migrate_all, scratch_folder
from tests.support.runs import DONE, FENCE_PROGRESS, accept, claimed, progress, reread
from tests.support.waiting import until_it_is


async def test_of_two_claims_of_the_same_attempt_exactly_one_wins(database: Database) -> None:
    run = await accept(database)
    wishes = [Claim(run.run_id, 1, uuid4(), f"runner-{n}") for n in range(6)]
    answers = await asyncio.gather(*(claim(database, wish) for wish in wishes))
    assert sum(isinstance(answer, Claimed) for answer in answers) == 1
    assert sum(isinstance(answer, Stale) for answer in answers) == 5


async def test_a_claim_told_twice_by_its_holder_is_the_same_claim(database: Database) -> None:
    run = await accept(database)
    wish = Claim(run.run_id, 1, uuid4(), "runner-1")
    assert isinstance(await claim(database, wish), Claimed)
    assert isinstance(await claim(database, wish), Claimed)


async def test_a_claim_that_announces_its_attempt_is_the_first_that_readers_see_of_it(database: Database) -> None:
    run = await accept(database)
    wish = Claim(run.run_id, 1, uuid4(), "runner-1", announce=True)
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with Listener.open(database.url, EVENTS_CHANNEL) as listener:
        with listener.subscribe(str(run.run_id), heard.put_nowait):
            assert isinstance(await claim(database, wish), Claimed)
            async with asyncio.timeout(60):
                await heard.get()
    assert isinstance(await claim(database, wish), Claimed)
    assert isinstance(await claim(database, Claim(run.run_id, 1, uuid4(), "runner-2", announce=True)), Stale)
    [event] = await read_events(database, run.run_id, -1)
    assert (event.seq, event.event) == (first_seq(1), "metadata")
    assert orjson.loads(event.data) == {"run_id": str(run.run_id), "attempt": 1}


async def test_a_claim_answers_with_the_run_as_it_is_then(database: Database) -> None:
    run = await accept(database)
    holder = uuid4()
    taken = await claimed(database, run, holder=holder)
    assert (taken.status, taken.attempt, taken.holder) == (RunStatus.RUNNING, 1, holder)
    assert taken == await reread(database, run.run_id)
    assert await claim(database, Claim(uuid4(), 1, holder, "runner-1", announce=True)) == NotFound()


async def test_an_older_attempt_writes_nothing_once_a_newer_one_has_claimed(database: Database) -> None:
    old = await claimed(database, await accept(database))
    await progress(database, old)
    new = await claimed(database, old, attempt=2)
    with pytest.raises(psycopg.Error) as caught:
        await progress(database, old)
    assert is_stale(caught.value)
    async with database.connection() as conn:
        with pytest.raises(psycopg.Error) as refused:
            await append(conn, old.run_id, 1, [Event(first_seq(1), "updates", b"{}")])
    assert is_stale(refused.value)
    assert await read_events(database, old.run_id, -1) == []
    with pytest.raises(StaleAttempt):
        await finish(database, old.run_id, 1, DONE)
    await progress(database, new)


async def test_a_claim_waits_for_a_writer_that_is_between_fence_and_commit(database: Database) -> None:
    run = await claimed(database, await accept(database))
    async with await psycopg.AsyncConnection.connect(database.url, **connection_options("runner")) as writer:
        async with writer.transaction():
            await writer.execute(FENCE_PROGRESS, (run.run_id, 1))
            taking = asyncio.create_task(claim(database, Claim(run.run_id, 2, uuid4(), "runner-2")))
            await until_it_is(lambda: somebody_waits(database))
            assert not taking.done()
        assert isinstance(await taking, Claimed)
    assert (await reread(database, run.run_id)).progress == 1


async def somebody_waits(database: Database) -> bool:
    """For the run's lock: a quarter of a second, then the writer would be ended."""
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return bool(await database.fetch_all(waiting))


async def test_a_writer_frozen_between_fence_and_commit_is_ended_by_the_claim(database: Database) -> None:
    run = await claimed(database, await accept(database))
    loop = asyncio.get_running_loop()
    async with await psycopg.AsyncConnection.connect(database.url, **connection_options("runner")) as frozen:
        await frozen.execute("BEGIN")
        await frozen.execute(FENCE_PROGRESS, (run.run_id, 1))
        began = loop.time()
        assert isinstance(await claim(database, Claim(run.run_id, 2, uuid4(), "runner-2", excused=True)), Claimed)
        assert loop.time() - began < 2
        with pytest.raises(psycopg.OperationalError):
            await frozen.execute("COMMIT")
    assert (await reread(database, run.run_id)).progress == 0, "what the frozen writer wrote was rolled back"


async def test_only_the_oldest_run_of_a_thread_can_be_claimed(database: Database) -> None:
    first = await accept(database)
    second = await accept(database, thread=first.thread_id)
    wish = Claim(second.run_id, 1, uuid4(), "runner-1")
    assert await claim(database, wish) == ThreadBusy(first.run_id)
    await finish(database, first.run_id, (await claimed(database, first)).attempt, DONE)
    assert isinstance(await claim(database, wish), Claimed)


async def test_a_finished_run_never_changes(database: Database) -> None:
    run = await claimed(database, await accept(database))
    await finish(database, run.run_id, 1, DONE)
    await finish(database, run.run_id, 1, Outcome(Reason.GRAPH_ERROR, "told twice"))
    with pytest.raises(RunFinished):
        await finish_from_outside(database, run.run_id, Outcome(Reason.DEADLINE_EXCEEDED))
    with pytest.raises(RunFinished):
        await request_cancel(database, run.run_id, CancelAction.ROLLBACK)
    answer = await claim(database, Claim(run.run_id, 2, uuid4(), "runner-2"))
    assert isinstance(answer, Finished)
    assert answer.run.reason is Reason.SUCCEEDED
    thread = await get_thread(database, run.thread_id)
    assert thread is not None
    assert (thread.status, thread.values) == (ThreadStatus.IDLE, {"answer": 1})


async def test_every_run_ends_with_one_end_event_behind_all_others(database: Database) -> None:
    run = await claimed(database, await accept(database))
    async with database.connection() as conn:
        await append(conn, run.run_id, 1, [Event(first_seq(1), "metadata", b"{}")])
    await finish(
        database, run.run_id, 1, Outcome(Reason.GRAPH_ERROR, "KeyError", error={"error": "KeyError", "message": "x"})
    )
    events = await read_events(database, run.run_id, -1)
    assert [event.event for event in events] == ["metadata", "error", END]


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_cancel_against_finish_in_both_orders(database: Database, cancel_first: bool) -> None:
    run = await claimed(database, await accept(database))
    if cancel_first:
        await request_cancel(database, run.run_id, CancelAction.INTERRUPT)
        await finish(database, run.run_id, 1, DONE)
        assert (await reread(database, run.run_id)).status is RunStatus.CANCELLED
    else:
        await finish(database, run.run_id, 1, DONE)
        with pytest.raises(RunFinished):
            await request_cancel(database, run.run_id, CancelAction.INTERRUPT)
        assert (await reread(database, run.run_id)).status is RunStatus.SUCCESS


async def test_cancelling_a_pending_run_ends_it_at_once(database: Database) -> None:
    run = await accept(database)
    await request_cancel(database, run.run_id, CancelAction.INTERRUPT)
    assert (await reread(database, run.run_id)).status is RunStatus.CANCELLED
    assert [event.event for event in await read_events(database, run.run_id, -1)] == [END]


async def test_attempts_without_progress_back_off_and_then_fail_the_run(database: Database) -> None:
    run = await claimed(database, await accept(database, backoff_limit=1))
    answer = await claim(database, Claim(run.run_id, 2, uuid4(), "runner-2"))
    assert isinstance(answer, BackOff)
    assert 0 < answer.seconds <= 1
    assert answer.attempt == 2
    await database.execute("UPDATE runs SET not_before = now() WHERE run_id = %s", (run.run_id,))
    await claimed(database, run, attempt=3)
    answer = await claim(database, Claim(run.run_id, 4, uuid4(), "runner-2"))
    assert isinstance(answer, Finished)
    assert answer.run.reason is Reason.BACKOFF_LIMIT_EXCEEDED
    assert answer.run.failed_attempts == 2


@pytest.mark.parametrize("why", ["progress", "excused", "drained"])
async def test_an_attempt_is_not_held_against_a_run_that(database: Database, why: str) -> None:
    run = await claimed(database, await accept(database, backoff_limit=0))
    match why:
        case "progress":
            await progress(database, run)
        case "drained":
            assert await release(database, run.run_id, 1)
    again = await claimed(database, run, attempt=2, excused=why == "excused")
    assert (again.failed_attempts, again.attempt) == (0, 2)


async def test_a_run_is_given_back_behind_its_last_events(database: Database) -> None:
    run = await claimed(database, await accept(database))
    seq = first_seq(1)
    seen, unseen = Event(seq, "metadata", b"{}"), Event(seq + 1, "updates", b"{}")
    async with database.connection() as conn:
        await append(conn, run.run_id, 1, [seen])
    assert await release(database, run.run_id, 1, [seen, unseen])
    assert await read_events(database, run.run_id, -1) == [seen, unseen]
    late = Event(seq + 2, "updates", b"{}")
    assert not await release(database, run.run_id, 1, [late]), "told twice, or by a stale attempt"
    assert await read_events(database, run.run_id, -1) == [seen, unseen]


async def test_the_reconciler_looks_at_a_run_as_soon_as_it_was_given_back(database: Database) -> None:
    run = await claimed(database, await accept(database))
    await database.execute("UPDATE runs SET created_at = created_at - interval '1 minute'")
    assert [entry.run.run_id for entry in await due(database, 10)] == [run.run_id]
    assert await due(database, 10) == []
    assert await release(database, run.run_id, 1)
    assert [entry.run.run_id for entry in await due(database, 10)] == [run.run_id]


async def test_a_run_that_died_in_company_is_a_suspect_and_placed_alone(database: Database) -> None:
    holder = uuid4()
    poison = await claimed(database, await accept(database), holder=holder)
    innocent = await claimed(database, await accept(database), holder=holder)
    answer = await claim(database, Claim(poison.run_id, 2, uuid4(), "runner-2"))
    assert answer == BackOff(0, suspect=True, attempt=2)
    # The order in which they are taken over makes no difference: the other one still died in company.
    answer = await claim(database, Claim(innocent.run_id, 2, uuid4(), "runner-2"))
    assert answer == BackOff(0, suspect=True, attempt=2)
    alone = await claimed(database, poison, attempt=3, alone=True)
    assert (alone.suspect, alone.failed_attempts) == (True, 0)


async def test_an_attempt_that_was_there_before_the_database_s_restart_is_not_held_against_its_run() -> None:
    async with scratch_folder("restart") as folder:
        lost, later = uuid4(), uuid4()
        async with EmbeddedPostgres(folder / ".relayrun") as server:
            await migrate_all(server.url)
            async with Database.open(server.url, role="runner") as database:
                runs = [await accept(database) for _ in range(3)]
                for run in runs:
                    await claimed(database, run, holder=lost)
        async with (
            EmbeddedPostgres(folder / ".relayrun") as server,
            Database.open(server.url, role="runner") as database,
        ):
            for run in runs:
                again = await claimed(database, run, attempt=2, holder=later)
                assert (again.failed_attempts, again.attempt) == (0, 2)
            # That was one death. The next one is the runs' own again.
            answer = await claim(database, Claim(runs[0].run_id, 3, uuid4(), "runner-3"))
            assert isinstance(answer, BackOff)
            assert answer.suspect


async def test_a_run_whose_company_ended_well_before_died_alone(database: Database) -> None:
    holder = uuid4()
    other = await claimed(database, await accept(database), holder=holder)
    run = await claimed(database, await accept(database), holder=holder)
    await finish(database, other.run_id, 1, DONE)
    answer = await claim(database, Claim(run.run_id, 2, uuid4(), "runner-2"))
    assert isinstance(answer, BackOff)
    assert not answer.suspect


async def test_a_finish_from_outside_fences_the_running_attempt_off(database: Database) -> None:
    run = await claimed(database, await accept(database))
    await finish_from_outside(database, run.run_id, Outcome(Reason.DEADLINE_EXCEEDED, "ran for too long"))
    with pytest.raises(psycopg.Error):
        await progress(database, run)
    ended = await reread(database, run.run_id)
    assert (ended.status, ended.attempt) == (RunStatus.TIMEOUT, 2)
