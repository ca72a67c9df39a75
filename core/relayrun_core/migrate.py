"""Applies the migrations, once, under an advisory lock: by `relayrun dev` or by a Job, never by every replica."""

import psycopg
from psycopg.rows import tuple_row

from relayrun_core.errors import SchemaTooOld
from relayrun_core.sql import migrations

# Any constant will do; it must only differ from the keys of runs, which are hashes.
MIGRATION_LOCK = 5_200_417

_VERSION = "SELECT coalesce(max(version), 0) FROM relayrun_migrations"


async def migrate(url: str) -> int:
    """Bring the database at `url` to this version's schema; the number of the newest migration is returned."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=tuple_row) as conn:
        await conn.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        await conn.execute(
            "CREATE TABLE IF NOT EXISTS relayrun_migrations"
            " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        version = await schema_version(conn)
        for number, statements in migrations():
            if number <= version:
                continue
            async with conn.transaction():
                await conn.execute(statements.encode())
                await conn.execute("INSERT INTO relayrun_migrations (version) VALUES (%s)", (number,))
            version = number
        return version


async def schema_version(conn: psycopg.AsyncConnection[tuple[int, ...]]) -> int:
    """The newest applied migration; 0 on an empty database."""
    try:
        row = await (await conn.execute(_VERSION)).fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return row[0] if row else 0


async def require_schema(url: str) -> None:
    """Raise SchemaTooOld when the database lacks a migration that this version needs."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=tuple_row) as conn:
        version = await schema_version(conn)
    wanted = migrations()[-1][0]
    if version < wanted:
        raise SchemaTooOld(f"the database has schema {version} and needs {wanted}: run the migrations first")
