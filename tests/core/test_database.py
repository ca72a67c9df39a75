"""What is tried again, and what is not."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from relayrun_core.connecting import ConnectionSettings
from relayrun_core.database import Database, current_url, is_transient
from tests.support.waiting import until


async def test_a_statement_that_timed_out_is_not_tried_again(database_url: str) -> None:
    parameters = {"statement_timeout": "50ms"}
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


async def test_a_connection_that_ends_between_two_parts_of_an_answer_is_tried_again() -> None:
    """As behind a pooler whose Postgres is killed: psycopg calls it an InternalError, without a code."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        await reader.readexactly(length - 4)
        writer.write(b"R" + struct.pack("!ii", 8, 0) + b"Z" + struct.pack("!ic", 5, b"I"))  # welcome, ready
        await reader.readuntil(b"BEGIN\0")
        failure = b"SFATAL\0VFATAL\0C08P01\0Mserver conn crashed?\0\0"
        writer.write(b"C" + struct.pack("!i", 10) + b"BEGIN\0" + b"E" + struct.pack("!i", len(failure) + 4) + failure)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        url = f"postgresql://me@{host}:{port}/mine?sslmode=disable&gssencmode=disable"
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        with pytest.raises(psycopg.InternalError, match="received 2 results") as raised:
            async with connection.transaction():
                raise AssertionError("it has begun")
    assert (raised.value.sqlstate, connection.closed, is_transient(raised.value)) == (None, True, True)


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


async def test_a_file_without_a_url_is_a_database_that_is_away(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "uri"
    assert current_url(ConnectionSettings(database_url, file)) == database_url
    where = ConnectionSettings("", file)
    async with Database.open(where, role="api", timeout_seconds=60) as database:
        with pytest.raises(psycopg.OperationalError, match="cannot read the database's URL"):
            current_url(where)
        file.write_text("")
        with pytest.raises(psycopg.OperationalError, match="empty"):
            current_url(where)
        asked = asyncio.create_task(database.fetch_one("SELECT 1 AS one"))
        file.write_text(f"{database_url}\n")
        assert await asked == {"one": 1}


async def test_sessions_are_bounded_and_statements_prepared_without_a_pooler(database_url: str) -> None:
    shown = "SELECT current_setting('transaction_timeout') AS t, current_setting('statement_timeout') AS s"
    async with Database.open(database_url, role="api", parameters={"statement_timeout": "7s"}) as database:
        assert await database.fetch_one(shown) == {"t": "1min", "s": "7s"}
        async with database.connection() as conn:
            assert conn.prepare_threshold == 1
            row = await (await conn.execute("SELECT now() = statement_timestamp() AS alone")).fetchone()
            assert row == {"alone": True}  # no transaction around it
    never = ConnectionSettings(database_url, prepared_statements=False)
    async with Database.open(never, role="api") as database, database.connection() as conn:
        assert conn.prepare_threshold is None


async def test_all_that_nobody_needs_is_closed(database_url: str) -> None:
    where = ConnectionSettings(database_url, idle_seconds=0.2)
    async with Database.open(where, role="api", max_size=6) as database:
        all_are_taken = asyncio.Barrier(6)

        async def take() -> int:
            async with database.connection():
                await all_are_taken.wait()
                return database.pool.get_stats()["pool_size"]

        assert await asyncio.gather(*(take() for _ in range(6))) == [6] * 6
        assert database.pool.get_stats()["pool_min"] == 1

        await until(lambda: database.pool.get_stats()["pool_size"] == 1)
        assert len(database.descriptors()) == 1
        assert await database.fetch_one("SELECT 1 AS one") == {"one": 1}
