"""Threads whose time is over, as one replica or several at once find them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from relayrun_core.database import Database
from relayrun_core.db import retention as tidying
from relayrun_core.db.finish import finish
from relayrun_core.db.retention import BATCH, Keep, prune_threads, sweep_threads
from relayrun_core.db.rows import Thread, Ttl
from relayrun_core.db.runs import create_run
from relayrun_core.db.threads import create_thread, forget, get_thread, idle_thread, patch_thread
from relayrun_core.errors import ThreadNotFound
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, RunSpec
from tests.support.runs import DONE, accept, claimed

HOUR = timedelta(hours=1)
#: Of threads of stateless runs alone.
KEEP = Keep(temporary=HOUR)


async def aged(database: Database, thread_id: UUID, **ago: float) -> UUID:
    """The thread, as if all that happened to it and its runs had happened so long ago."""
    age = timedelta(**ago)
    await database.execute("UPDATE threads SET updated_at = updated_at - %s WHERE thread_id = %s", (age, thread_id))
    await database.execute("UPDATE runs SET finished_at = finished_at - %s WHERE thread_id = %s", (age, thread_id))
    return thread_id


async def made(database: Database, ttl: Ttl | None = None, **ago: float) -> UUID:
    thread = await create_thread(database, uuid4(), ttl=ttl)
    return await aged(database, thread.thread_id, **ago)


async def stateless(database: Database, **ago: float) -> UUID:
    run = await claimed(database, await accept(database, on_completion="delete"))
    await finish(database, run.run_id, 1, DONE)
    return await aged(database, run.thread_id, **ago)


async def timed_by_cron(database: Database, thread_id: UUID) -> None:
    insert = """INSERT INTO crons (cron_id, assistant_id, thread_id, schedule, payload, next_run_at)
        VALUES (gen_random_uuid(), gen_random_uuid(), %s, '* * * * *', '{}', now() + interval '1 day')"""
    await database.execute(insert, (thread_id,))


async def left(database: Database, *thread_ids: UUID) -> list[bool]:
    return [await get_thread(database, thread_id) is not None for thread_id in thread_ids]


async def test_a_thread_goes_when_its_time_is_over_and_not_before(database: Database) -> None:
    over = await made(database, Ttl(60), minutes=61)
    soon = await made(database, Ttl(60), minutes=59)
    forever = await made(database, days=10_000)
    assert await sweep_threads(database, KEEP) == 1
    assert await left(database, over, soon, forever) == [False, True, True]
    assert await sweep_threads(database, KEEP) == 0


async def test_whatever_is_done_with_a_thread_gives_it_its_time_again(database: Database) -> None:
    patched, used = await made(database, Ttl(60), minutes=61), await made(database, Ttl(60), minutes=61)
    longer = await made(database, Ttl(60), minutes=61)
    await patch_thread(database, patched, {"seen": True})
    await patch_thread(database, longer, {}, Ttl(120, "keep_latest"))
    run = await claimed(database, await accept(database, thread=used))
    await finish(database, run.run_id, 1, DONE)
    await aged(database, longer, minutes=90)
    assert await sweep_threads(database, KEEP) == 0
    assert await left(database, patched, used, longer) == [True, True, True]


async def test_a_thread_with_an_unfinished_run_stays_whatever_its_age(database: Database) -> None:
    for ttl in (Ttl(1), Ttl(1, "keep_latest"), None):
        thread_id = await made(database, ttl)
        run = await accept(database, thread=thread_id, on_completion="delete")
        for _ in ("pending", "running"):
            await aged(database, thread_id, days=1)
            assert await sweep_threads(database, Keep(HOUR, unused=HOUR)) == 0
            assert await left(database, thread_id) == [True]
            if run.attempt == 0:
                run = await claimed(database, run)
        await finish(database, run.run_id, 1, DONE)
        await aged(database, thread_id, days=1)
        assert await sweep_threads(database, Keep(HOUR, unused=HOUR)) >= 1


async def test_a_thread_with_a_run_for_later_or_a_cron_stays(database: Database) -> None:
    later, timed = await made(database, Ttl(1), hours=1), await made(database, Ttl(1), hours=1)
    run = NewRun(new_run_id(), later, "default", "steps", RunSpec(), delay_seconds=3600)
    await create_run(database, run)
    await aged(database, later, hours=1)
    await timed_by_cron(database, timed)
    assert await sweep_threads(database, KEEP) == 0
    assert await prune_threads(database, [later], "delete", owner=None, any_owner=True) == 0
    await database.execute("UPDATE crons SET next_run_at = NULL")
    assert await sweep_threads(database, KEEP) == 1
    assert await left(database, later, timed) == [True, False]


async def test_a_thread_that_was_reduced_is_left_alone_until_it_is_used_again(database: Database) -> None:
    thread_id = await made(database, Ttl(60, "keep_latest"), minutes=61)
    insert = "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES (%s, %s, '{}')"
    for checkpoint_id in ("1", "2"):
        await database.execute(insert, (str(thread_id), checkpoint_id))
    assert await sweep_threads(database, KEEP) == 1
    kept = await database.fetch_all("SELECT checkpoint_id FROM checkpoints WHERE thread_id = %s", (str(thread_id),))
    assert kept == [{"checkpoint_id": "2"}]
    assert await sweep_threads(database, KEEP) == 0
    await patch_thread(database, thread_id, {})
    await aged(database, thread_id, minutes=61)
    # What it was reduced at is earlier than what was done with it since.
    await database.execute("UPDATE threads SET pruned_at = updated_at - interval '1 minute'")
    assert await sweep_threads(database, KEEP) == 1


async def test_a_thread_that_somebody_reduced_goes_all_the_same(database: Database) -> None:
    threads = [await made(database, Ttl(60), minutes=61), await made(database, minutes=61)]
    threads.append(await stateless(database, minutes=61))
    assert await prune_threads(database, threads, "keep_latest", owner=None, any_owner=True) == 3
    assert await sweep_threads(database, Keep(HOUR, unused=HOUR)) == 3
    assert await left(database, *threads) == [False] * 3


async def test_threads_that_say_nothing_are_kept_as_the_installation_says(database: Database) -> None:
    unused, used = await made(database, minutes=61), await made(database, minutes=59)
    longer = await made(database, Ttl(120), minutes=61)
    assert await sweep_threads(database, Keep(HOUR, unused=HOUR)) == 1
    assert await left(database, unused, used, longer) == [False, True, True]


async def test_the_thread_of_a_stateless_run_goes_some_time_after_its_end(database: Database) -> None:
    over, soon = await stateless(database, minutes=61), await stateless(database, minutes=59)
    again = await stateless(database, minutes=61)
    run = await claimed(database, await accept(database, thread=again))
    await finish(database, run.run_id, 1, DONE)
    kept = await made(database, minutes=61)
    assert await sweep_threads(database, KEEP) == 1
    assert await left(database, over, soon, again, kept) == [False, True, True, True]
    await aged(database, again, minutes=61)
    assert await sweep_threads(database, KEEP) == 1  # used again, it was still made for one run


async def test_nothing_is_left_of_a_thread_whose_time_is_over(database: Database) -> None:
    thread_id = await stateless(database, minutes=61)
    for table in ("checkpoints", "checkpoint_writes", "checkpoint_blobs"):
        columns = {"checkpoints": "checkpoint_id, checkpoint", "checkpoint_blobs": "channel, version, type"}
        names = columns.get(table, "checkpoint_id, task_id, idx, channel, blob")
        values = {"checkpoints": "'1', '{}'", "checkpoint_blobs": "'c', '1', 'null'"}
        given = values.get(table, "'1', 't', 0, 'c', ''")
        await database.execute(f"INSERT INTO {table} (thread_id, {names}) VALUES (%s, {given})", (str(thread_id),))
    assert await sweep_threads(database, KEEP) == 1
    for table in ("threads", "runs", "checkpoints", "checkpoint_writes", "checkpoint_blobs"):
        assert await database.fetch_all(f"SELECT 1 FROM {table}") == []
    assert await database.fetch_all("SELECT 1 FROM run_events") == []


@pytest.mark.parametrize("strategy", ["delete", "keep_latest"])
async def test_replicas_that_sweep_at_once_do_each_thread_once(database: Database, strategy: str) -> None:
    await database.execute(
        """INSERT INTO threads (thread_id, ttl_minutes, ttl_strategy, updated_at)
        SELECT gen_random_uuid(), 1, %s, now() - interval '1 hour' FROM generate_series(1, %s)""",
        (strategy, 2 * BATCH),
    )
    swept = list(await asyncio.gather(*(sweep_threads(database, KEEP) for _ in range(3))))
    while more := await sweep_threads(database, KEEP):  # a replica stops where all of a page is another's
        swept.append(more)
    assert sum(swept) == 2 * BATCH
    assert len(await database.fetch_all("SELECT 1 FROM threads")) == (0 if strategy == "delete" else 2 * BATCH)


async def test_a_thread_that_somebody_holds_is_passed_over(database: Database) -> None:
    held, free = await made(database, Ttl(1), hours=1), await made(database, Ttl(1), hours=1)
    async with idle_thread(database, held), asyncio.timeout(60):
        assert await sweep_threads(database, KEEP) == 1
    assert await left(database, held, free) == [True, False]


@pytest.mark.parametrize("use", ["run", "patch"])
async def test_a_thread_that_is_used_while_a_sweep_looks_at_it_stays(database: Database, use: str) -> None:
    """The sweep has seen the thread as over; whoever was quicker with its lock decides."""
    thread_id = await made(database, Ttl(60), minutes=61)
    sweeping = [asyncio.create_task(sweep_threads(database, KEEP)) for _ in range(2)]
    using = accept(database, thread=thread_id) if use == "run" else patch_thread(database, thread_id, {})
    used = (await asyncio.gather(using, return_exceptions=True))[0]
    swept = sum(await asyncio.gather(*sweeping))
    thread = await get_thread(database, thread_id)
    if use == "run":  # which makes the thread anew where it came too late
        assert isinstance(thread, Thread)
        assert thread.run_count == 1
    else:
        assert (thread is None, isinstance(used, ThreadNotFound)) == ((True, True) if swept else (False, False))


async def test_a_run_that_comes_while_its_thread_is_deleted_gets_a_new_one(database: Database) -> None:
    thread_id = await made(database)
    async with idle_thread(database, thread_id) as (conn, _):
        await forget(conn, thread_id)
        coming = asyncio.create_task(accept(database, thread=thread_id))
        waits = "SELECT count(*) AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'create_run'"
        async with asyncio.timeout(60):
            while (await database.fetch_all(waits))[0]["count"] == 0:
                await asyncio.sleep(0.01)
    run = await coming
    assert (run.thread_id, run.number) == (thread_id, 1)


async def test_a_cron_that_came_after_the_sweep_looked_is_seen_behind_the_lock(database: Database) -> None:
    thread_id = await made(database, Ttl(60), minutes=61)
    thread = await get_thread(database, thread_id)
    assert thread is not None
    await timed_by_cron(database, thread_id)
    assert not await tidying._sweep(database, thread_id, thread.updated_at, "delete")
    assert await left(database, thread_id) == [True]


async def test_pruning_does_what_can_be_done_and_says_how_many(database: Database) -> None:
    mine = (await create_thread(database, uuid4(), owner="alice")).thread_id
    theirs = (await create_thread(database, uuid4(), owner="bob")).thread_id
    busy = (await accept(database, owner="alice")).thread_id
    given = [mine, theirs, busy, uuid4(), mine]
    assert await prune_threads(database, given, "keep_latest", owner="alice", any_owner=False) == 1
    assert await prune_threads(database, given, "delete", owner="alice", any_owner=False) == 1
    assert await left(database, mine, theirs, busy) == [False, True, True]
    assert await prune_threads(database, given, "delete", owner=None, any_owner=False) == 0
    assert await prune_threads(database, given, "delete", owner=None, any_owner=True) == 1
