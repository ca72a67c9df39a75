"""Migrations: applied once, by whoever comes first."""

import asyncio

import pytest

from relayrun_core import migrate as migrate_module
from relayrun_core.database import Database
from relayrun_core.errors import SchemaTooOld
from relayrun_core.migrate import migrate, require_schema
from relayrun_core.sql import migrations


def test_no_two_migrations_have_the_same_number() -> None:
    numbers = [number for number, _ in migrations()]
    assert numbers == sorted(set(numbers))


async def test_a_migration_whose_number_lies_below_the_newest_is_applied_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = migrations()[-1][0]
    monkeypatch.setattr(migrate_module, "migrations", lambda: [(newest + 5, "CREATE TABLE later ()")])
    assert await migrate(database.url) == newest + 5
    both = [(newest + 3, "CREATE TABLE filling ()"), (newest + 5, "CREATE TABLE later ()")]
    monkeypatch.setattr(migrate_module, "migrations", lambda: both)
    with pytest.raises(SchemaTooOld):
        await require_schema(database.url)
    assert await migrate(database.url) == newest + 5
    await require_schema(database.url)
    assert await database.fetch_one("SELECT 1 FROM filling") is None


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
