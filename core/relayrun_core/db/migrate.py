"""Applies the migrations, under an advisory lock. `relayrun dev` or a Job calls it, never every replica."""

import psycopg
from psycopg.rows import tuple_row

from relayrun_core.database import Database, is_pooled
from relayrun_core.errors import NeedsDirectConnection, SchemaTooOld
from relayrun_core.sql import migrations
from relayrun_core.sql.squashed import take_over

# Any constant will do; it must only differ from the keys of runs, which are hashes.
MIGRATION_LOCK = 5_200_417

_TABLE = """
CREATE TABLE IF NOT EXISTS relayrun_schema_migrations
    (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"""
_APPLIED = "SELECT version FROM relayrun_schema_migrations"
_NOTE = "INSERT INTO relayrun_schema_migrations (version) VALUES (%s)"

Connection = psycopg.AsyncConnection[tuple[int, ...]]


async def migrate(url: str) -> int:
    """Bring the database at `url` to this version's schema, and return the number of its newest migration.

    Raises SchemaUnknown for a database whose migrations this version does not know.
    """
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=tuple_row) as conn:
        await require_direct(conn)
        await conn.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        async with conn.transaction():
            await conn.execute(_TABLE.encode())
            for number in await take_over(conn):
                await conn.execute(_NOTE, (number,))
        applied = await _applied(conn)
        for number, statements in migrations():
            # Each by itself, not all above the newest: numbers may have gaps, which are filled later.
            if number in applied:
                continue
            async with conn.transaction():
                await conn.execute(statements.encode())
                await conn.execute(_NOTE, (number,))
            applied.add(number)
        return max(applied)


async def require_direct(conn: Connection) -> None:
    """Raise NeedsDirectConnection behind a pooler: a lock that a session holds would stay with its server's."""
    if await is_pooled(conn):
        raise NeedsDirectConnection(
            "migrations cannot go through a pooler: set RELAYRUN_DATABASE_DIRECT_URL to a URL of Postgres itself"
        )


async def _applied(conn: Connection) -> set[int]:
    return {row[0] for row in await (await conn.execute(_APPLIED)).fetchall()}


async def require_schema(database: Database) -> None:
    """Raise SchemaTooOld when the database lacks a migration that this version needs."""
    try:
        applied = {row["version"] for row in await database.fetch_all(_APPLIED)}
    except psycopg.errors.UndefinedTable:
        applied = set()
    if missing := [number for number, _ in migrations() if number not in applied]:
        version = max(applied, default=0)
        raise SchemaTooOld(f"the database has schema {version} and lacks {missing[0]}: run the migrations first")
