"""What is tried again, and what is not."""

from __future__ import annotations

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from relayrun_core.database import Database, is_transient


async def test_a_statement_that_timed_out_is_not_tried_again(database_url: str) -> None:
    parameters = "-c statement_timeout=50ms"
    async with Database.open(database_url, role="api", max_size=1, parameters=parameters) as database:
        calls = 0

        async def sleep() -> None:
            nonlocal calls
            calls += 1
            async with database.connection() as conn:
                await conn.execute("SELECT pg_sleep(60)")

        with pytest.raises(psycopg.errors.QueryCanceled) as refused:
            await database.twice(sleep)
        assert (calls, is_transient(refused.value)) == (1, False)
        assert await database.fetch_one("SELECT 1 AS one") == {"one": 1}


async def test_whoever_waited_for_a_connection_in_vain_does_not_wait_again(database_url: str) -> None:
    async with Database.open(database_url, role="api", max_size=1) as database, database.connection():
        database.pool.timeout = 0.05
        calls = 0

        async def ask() -> None:
            nonlocal calls
            calls += 1
            async with database.connection():
                raise AssertionError("there was a second one")

        with pytest.raises(PoolTimeout):
            await database.twice(ask)
        assert calls == 1


async def test_a_connection_that_was_ended_is_tried_again(database_url: str) -> None:
    async with Database.open(database_url, role="api", max_size=1) as database:
        calls = 0

        async def ask() -> None:
            nonlocal calls
            calls += 1
            async with database.connection() as conn:
                if calls == 1:
                    await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        await database.twice(ask)
        assert calls == 2
