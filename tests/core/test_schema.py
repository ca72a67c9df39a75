"""`schema.sql` is what the migrations make."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

import relayrun_core.sql
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.db.migrate import migrate
from tests.support.postgres import fresh_database
from tests.support.schema import catalog, our_tables, schema_text, statements

FILE = Path(relayrun_core.sql.__file__).parent / "schema.sql"


async def catalog_of(url: str) -> dict[str, list[dict[str, Any]]]:
    """What is there beside LangGraph's tables and the list of migrations."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        found = await catalog(connection, tables=our_tables())
    found["tables"] = [row for row in found["tables"] if row["name"] in our_tables()]
    return found


async def test_the_file_is_what_make_schema_writes(database_url: str) -> None:
    assert FILE.read_text() == await schema_text(database_url), "run `make schema`"


async def test_the_file_makes_the_same_schema_as_the_migrations(database_url: str, postgres: EmbeddedPostgres) -> None:
    async with fresh_database(postgres, "template1") as url:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(FILE.read_bytes())
        assert await catalog_of(url) == await catalog_of(database_url)


async def test_what_later_migrations_change_is_in_the_schema(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = """-- Things.

-- What things are.
CREATE TABLE things (
    id integer PRIMARY KEY, -- a number; not a name
    name text
);
CREATE INDEX things_name ON things (name);
"""
    second = """-- Colours.

ALTER TABLE things ADD COLUMN colour text NOT NULL DEFAULT 'red'; -- what one sees
ALTER TABLE things DROP COLUMN name;
"""
    for number, sql in enumerate([first, second], 1):
        (tmp_path / f"{number:04}_things.sql").write_text(sql)
    monkeypatch.setattr("relayrun_core.sql.MIGRATIONS", tmp_path)
    monkeypatch.setattr("tests.support.schema.MIGRATIONS", tmp_path)
    async with fresh_database(postgres, "template1") as url:
        await migrate(url)
        text = await schema_text(url)
    assert "-- What things are.\nCREATE TABLE things (" in text
    assert "name " not in text.split("CREATE TABLE")[1]
    assert "id                   integer NOT NULL," in text
    assert "-- a number; not a name" in text
    assert "colour               text NOT NULL DEFAULT 'red'," in text
    assert "-- what one sees" in text
    assert "things_name" not in text


def test_every_statement_of_the_migrations_is_read() -> None:
    for number, sql in relayrun_core.sql.migrations():
        read = "".join(statement.comment + statement.text for statement in statements(sql))
        without = [line.partition("--")[0].strip() for line in sql.splitlines() if not line.startswith("--")]
        left = [line for line in without if line and line not in read]
        assert not left, f"{number}: {left}"
