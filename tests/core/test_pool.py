"""Tasks may be cancelled wherever they are, also while they get or give back a connection: the pool stays whole."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from psycopg_pool.pool_async import AddConnection, MaintenanceTask

from relayrun_core.database import Database
from relayrun_core.db.listing import row_stream
from tests.support.runner import free_port

SIZE = 3
CLIENTS = 24


@pytest.fixture
async def small(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url, role="api", min_size=SIZE, max_size=SIZE, timeout_seconds=20.0) as database:
        await whole(database)
        yield database


async def whole(database: Database) -> None:
    """All connections can be had at once, and work."""
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        for _ in range(SIZE):
            connection = await stack.enter_async_context(database.connection())
            await connection.execute("SELECT 1")


async def use(database: Database) -> None:
    while True:
        async with database.connection():
            await asyncio.sleep(0)


async def steps(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("apart", [0, 1, 2, 3])
async def test_a_pool_stays_whole_when_its_clients_are_cancelled_at_any_step(small: Database, apart: int) -> None:
    for step in range(60):
        tasks = [asyncio.create_task(use(small)) for _ in range(CLIENTS)]
        await steps(step)
        for task in tasks:
            task.cancel()
            await steps(apart)
        for task in tasks:
            task.cancel()  # a second time: as a task group's end after a time-out
        _, pending = await asyncio.wait(tasks, timeout=60)
        assert not pending, f"step {step}: {len(pending)} tasks outlived their cancel"
        await whole(small)


async def test_a_pool_stays_whole_when_statements_are_cancelled(small: Database) -> None:
    for moment in range(12):
        tasks = [asyncio.create_task(small.fetch_one("SELECT pg_sleep(0.002)")) for _ in range(CLIENTS)]
        await asyncio.sleep(moment * 0.001)
        for task in tasks:
            task.cancel()
        await steps(moment % 4)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=60)
        await whole(small)


async def test_a_connection_whose_transaction_is_cancelled_comes_back(small: Database) -> None:
    async def work() -> None:
        async with small.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_sleep(0.002)")

    for moment in range(12):
        tasks = [asyncio.create_task(work()) for _ in range(CLIENTS)]
        await asyncio.sleep(moment * 0.001)
        for _ in range(3):
            for task in tasks:
                task.cancel()
            await steps(1)
        await asyncio.wait(tasks, timeout=60)
        await whole(small)


async def test_who_waits_for_a_connection_is_refused_in_time_and_loses_none(small: Database) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(SIZE):
            await stack.enter_async_context(small.connection())
        with pytest.raises(PoolTimeout):
            await small.pool.getconn(timeout=0.01)
    await whole(small)


async def test_who_waits_for_a_connection_is_told_that_the_pool_closes(database_url: str) -> None:
    async with AsyncExitStack() as held:
        async with Database.open(database_url, role="api", max_size=1) as database:
            await held.enter_async_context(database.connection())
            waiter = asyncio.create_task(database.pool.getconn())
            async with asyncio.timeout(60):
                while not database.pool.get_stats().get("requests_waiting"):
                    await asyncio.sleep(0)
        with pytest.raises(PoolClosed):
            await waiter


async def test_a_pool_that_lost_its_connections_is_broken_while_the_database_answers(small: Database) -> None:
    lost = [await small.pool.getconn() for _ in range(SIZE)]
    assert not await small.is_broken(after_seconds=0.0)  # nobody asks in vain
    with pytest.raises(PoolTimeout):
        await small.pool.getconn(timeout=0.01)
    assert await small.is_broken(after_seconds=0.0, answer_seconds=0.05)
    await small.pool.putconn(lost.pop())
    assert not await small.is_broken(after_seconds=0.0)
    for connection in lost:
        await small.pool.putconn(connection)


async def test_a_database_that_is_away_breaks_no_pool() -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/nothing"
    async with Database.open(url, role="api", max_size=1) as database:
        with pytest.raises(PoolTimeout):
            await database.pool.getconn(timeout=0.01)
        assert not await database.is_broken(after_seconds=0.0, answer_seconds=0.05)


async def test_a_pool_comes_back_soon_after_the_database_however_long_that_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    enough = asyncio.Event()
    schedule = AsyncConnectionPool.schedule_task

    async def at_once(pool: Any, task: MaintenanceTask, delay: float) -> None:
        if isinstance(task, AddConnection):
            waits.append(delay)
            if len(waits) >= 12:
                enough.set()
            delay = 0.0
        await schedule(pool, task, delay)

    monkeypatch.setattr(AsyncConnectionPool, "schedule_task", at_once)
    async with Database.open(f"postgresql://127.0.0.1:{free_port()}/nothing", role="api"):
        async with asyncio.timeout(60):
            await enough.wait()
    assert waits[0] <= 0.15
    assert all(0.05 < wait <= 1.0 for wait in waits)
    assert sum(waits[:4]) < 2.0, "a restart of the database takes a second or two"
    assert max(waits) > 0.5, "one that is away for long is not asked in a tight loop"


@pytest.mark.parametrize("whole", [True, False], ids=["read to the end", "left in the middle"])
async def test_a_connection_that_gave_rows_one_by_one_works_in_a_pipeline(database: Database, whole: bool) -> None:
    async with database.connection() as conn, conn.cursor() as cursor:
        async with row_stream(cursor, b"SELECT generate_series(1, 3) AS n", ()) as rows:
            found = [row["n"] async for row in rows] if whole else [(await anext(rows))["n"]]
        assert found == ([1, 2, 3] if whole else [1])
        async with conn.pipeline():
            asked = await conn.execute(b"SELECT generate_series(1, 2) AS n")
            assert [row["n"] for row in await asked.fetchall()] == [1, 2]
