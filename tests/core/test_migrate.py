"""Migrations: applied once, by whoever comes first."""

import asyncio

import pytest

from relayrun_core.database import Database
from relayrun_core.errors import SchemaTooOld
from relayrun_core.migrate import migrate, require_schema
from relayrun_core.sql import migrations


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


async def test_several_that_migrate_at_once_apply_each_migration_once(database: Database) -> None:
    await database.execute("DROP SCHEMA public CASCADE")
    await database.execute("CREATE SCHEMA public")
    versions = await asyncio.gather(*(migrate(database.url) for _ in range(3)))
    assert set(versions) == {migrations()[-1][0]}
    rows = await database.fetch_all("SELECT version FROM relayrun_migrations ORDER BY version")
    assert [row["version"] for row in rows] == [number for number, _ in migrations()]


async def test_an_old_database_is_refused_with_a_sentence(database: Database) -> None:
    await require_schema(database.url)
    await database.execute("DELETE FROM relayrun_migrations WHERE version = %s", (migrations()[-1][0],))
    with pytest.raises(SchemaTooOld, match="run the migrations first"):
        await require_schema(database.url)
