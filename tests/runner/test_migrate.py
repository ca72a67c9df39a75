"""The migration command of the runner's image."""

from __future__ import annotations

import asyncio
import os
import sys

import psycopg
import pytest

from relayrun_core.database import Database
from relayrun_core.db.migrate import migrations, require_schema
from relayrun_runner.migrate import migrate_all


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    newest = migrations()[-1][0]
    assert await migrate_all(database_url, None) == newest
    assert await migrate_all(database_url, None) == newest
    async with Database.open(database_url, role="world") as database:
        await require_schema(database)


async def test_a_database_that_stays_away_is_given_up() -> None:
    with pytest.raises(psycopg.OperationalError):
        await migrate_all("postgresql://nobody@127.0.0.1:1/none", None, retry_seconds=0)


async def test_the_command_makes_langgraphs_tables_too(database_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "relayrun_runner.migrate"),
        env={**os.environ, "RELAYRUN_DATABASE_URL": database_url},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        found = await (await conn.execute("SELECT to_regclass('checkpoints'), to_regclass('store')")).fetchone()
    assert found is not None
    assert all(found)


async def test_a_wrong_store_is_said_at_once(database_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "relayrun_runner.migrate"),
        env={**os.environ, "RELAYRUN_DATABASE_URL": database_url, "RELAYRUN_STORE": '{"index": 1}'},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"RELAYRUN_STORE" in said
