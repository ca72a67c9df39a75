"""Migrations: applied once, by whoever comes first."""

import asyncio
from uuid import uuid4

import pytest

from relayrun_core.database import Database
from relayrun_core.db import migrate as migrate_module
from relayrun_core.db.finish import finish
from relayrun_core.db.migrate import migrate, require_schema
from relayrun_core.errors import SchemaTooOld, SchemaUnknown
from relayrun_core.sql import migrations
from relayrun_core.states import RunStatus
from tests.core.test_schema import catalog_of
from tests.support.postgres import migrate_all
from tests.support.runs import DONE, reread


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
        await require_schema(database)
    assert await migrate(database.url) == newest + 5
    await require_schema(database)
    assert await database.fetch_one("SELECT 1 FROM filling") is None


async def test_several_that_migrate_at_once_apply_each_migration_once(database: Database) -> None:
    await empty(database)
    versions = await asyncio.gather(*(migrate(database.url) for _ in range(3)))
    assert set(versions) == {migrations()[-1][0]}
    rows = await database.fetch_all("SELECT version FROM relayrun_schema_migrations ORDER BY version")
    assert [row["version"] for row in rows] == [number for number, _ in migrations()]


async def test_an_old_database_is_refused_with_a_sentence(database: Database) -> None:
    await require_schema(database)
    await database.execute("DELETE FROM relayrun_schema_migrations WHERE version = %s", (migrations()[-1][0],))
    with pytest.raises(SchemaTooOld, match="run the migrations first"):
        await require_schema(database)


BEFORE_THE_SQUASH = [*range(1, 15), 21, 23, 26, 28, *range(30, 34)]


SQUASHED = range(1, 11)
UNDER_WAY = """
WITH thread AS (INSERT INTO threads (thread_id, status) VALUES (%(thread)s, 'busy')),
    attempt AS (INSERT INTO run_attempts (run_id, attempt, holder, runner) VALUES (%(run)s, 1, %(holder)s, 'r'))
INSERT INTO runs (run_id, thread_id, number, agent, graph, spec, status, attempt, holder, runner)
VALUES (%(run)s, %(thread)s, 1, 'default', 'steps', '{}', 'running', 1, %(holder)s, 'r')"""


async def empty(database: Database) -> None:
    await database.execute("DROP SCHEMA public CASCADE")
    await database.execute("CREATE SCHEMA public")


async def make_squashed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database that the squashed migrations alone make."""
    await empty(database)
    with monkeypatch.context() as patched:
        patched.setattr(migrate_module, "migrations", lambda: [each for each in migrations() if each[0] in SQUASHED])
        await migrate(database.url)


async def make_older(database: Database, applied: list[int]) -> None:
    """As a checkout before the squash left it: other names of functions, some of them in two versions."""
    functions = await database.fetch_all(
        "SELECT oid::regprocedure::text AS called, proname AS name FROM pg_proc WHERE starts_with(proname, 'relayrun_')"
    )
    for row in functions:
        await database.execute(f"ALTER FUNCTION {row['called']} RENAME TO {row['name']}_v1")
    await database.execute("CREATE FUNCTION relayrun_end_v2(p_run uuid) RETURNS void LANGUAGE sql AS 'SELECT'")
    await database.execute("DROP TABLE relayrun_schema_migrations")
    await database.execute("CREATE TABLE relayrun_migrations (version integer PRIMARY KEY, applied_at timestamptz)")
    await database.execute("INSERT INTO relayrun_migrations SELECT unnest(%s::integer[])", (applied,))


async def test_a_database_from_before_the_squash_is_taken_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await empty(database)
    await migrate(database.url)
    expected = await catalog_of(database.url)
    await make_squashed(database, monkeypatch)
    run_id = uuid4()
    await database.execute(UNDER_WAY, {"run": run_id, "thread": uuid4(), "holder": uuid4()})
    await make_older(database, BEFORE_THE_SQUASH)
    with pytest.raises(SchemaTooOld, match="run the migrations first"):
        await require_schema(database)
    versions = await asyncio.gather(*(migrate(database.url) for _ in range(3)))
    assert set(versions) == {migrations()[-1][0]}
    await require_schema(database)
    assert await catalog_of(database.url) == expected
    await migrate_all(database.url)
    await finish(database, run_id, 1, DONE)
    assert (await reread(database, run_id)).status is RunStatus.SUCCESS


async def test_a_database_of_an_even_older_checkout_is_refused_with_a_sentence(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_squashed(database, monkeypatch)
    await make_older(database, BEFORE_THE_SQUASH[:-2])
    with pytest.raises(SchemaUnknown, match=r"migration 31 of 33.*use an empty database.*\.relayrun"):
        await migrate(database.url)
    with pytest.raises(SchemaTooOld):
        await require_schema(database)
