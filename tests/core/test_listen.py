"""Hints: heard at once, and heard again after the connection died."""

import asyncio
from uuid import uuid4

from relayrun_core.database import Database
from relayrun_core.db.notify import EVENTS_CHANNEL, RUNS_CHANNEL, Hints, Listener, notify
from tests.support.runs import accept

LIMIT_SECONDS = 60


async def test_a_new_run_is_heard_of(database: Database) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with Listener.open(database.url, RUNS_CHANNEL) as listener:
        with listener.subscribe_all(heard.put_nowait):
            run = await accept(database)
            async with asyncio.timeout(LIMIT_SECONDS):
                assert await heard.get() == str(run.run_id)


async def test_a_subscriber_hears_of_its_own_run_only(database: Database) -> None:
    mine, other = uuid4(), uuid4()
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with Listener.open(database.url, EVENTS_CHANNEL) as listener:
        with listener.subscribe(str(mine), heard.put_nowait):
            await notify(database, other)
            await notify(database, mine)
            async with asyncio.timeout(LIMIT_SECONDS):
                assert await heard.get() == str(mine)
    assert heard.empty()


async def test_hints_that_gather_are_all_sent_and_each_once(database: Database) -> None:
    first, then = uuid4(), [uuid4() for _ in range(3)]
    heard: asyncio.Queue[str] = asyncio.Queue()
    hints = Hints(database)
    async with Listener.open(database.url, EVENTS_CHANNEL) as listener, asyncio.TaskGroup() as tasks:
        with listener.subscribe_all(heard.put_nowait):
            sending = tasks.create_task(hints.run())
            async with asyncio.timeout(LIMIT_SECONDS):
                hints.send(EVENTS_CHANNEL, first)
                assert await heard.get() == str(first)
                for run_id in then + then:
                    hints.send(EVENTS_CHANNEL, run_id)
                assert {await heard.get() for _ in then} == set(map(str, then))
            sending.cancel()
    assert heard.empty()


async def test_everybody_is_woken_after_a_reconnect_because_hints_may_have_been_missed(database: Database) -> None:
    run_id = str(uuid4())
    one, all_of_them = asyncio.Event(), asyncio.Event()
    async with Listener.open(database.url, RUNS_CHANNEL) as listener:
        with (
            listener.subscribe(run_id, lambda _: one.set()),
            listener.subscribe_all(lambda payload: all_of_them.set() if payload == "" else None),
        ):
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                (f"relayrun-listen-{RUNS_CHANNEL}",),
            )
            async with asyncio.timeout(LIMIT_SECONDS):
                await one.wait()
                await all_of_them.wait()
