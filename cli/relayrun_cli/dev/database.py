"""The database of `relayrun dev`: the one in DATABASE_URL, else an embedded one in the data folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from relayrun_cli.errors import CliError
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_cli.postgres.data_folder import make_folder
from relayrun_cli.postgres.lock import FolderLock
from relayrun_core.db.migrate import migrate
from relayrun_core.errors import SchemaUnknown

OLDEST_VERSION = 170000


@dataclass(frozen=True)
class DevDatabase:
    """A database with our tables. `watch` keeps its server running; `abandon` ends it without waiting."""

    url: str
    described: str
    watch: Callable[[], Coroutine[Any, Any, None]]
    abandon: Callable[[], None]


@asynccontextmanager
async def open_database(data: Path, url: str | None, say: Callable[[str], None]) -> AsyncIterator[DevDatabase]:
    """Hold the data folder's lock and a database with our tables: that of `url`, if any. Raises `CliError`."""
    if url:
        make_folder(data)
        with FolderLock(data):
            await _check(url)
            await _migrate(url)
            yield DevDatabase(url, f"{_place(url)} (DATABASE_URL)", _watch_nothing, lambda: None)
        return
    async with EmbeddedPostgres(data, say=say) as server:
        await _migrate(server.url)
        yield DevDatabase(server.url, f"embedded, in {server.data}", server.watch, server.abandon)


async def _migrate(url: str) -> None:
    try:
        await migrate(url)
    except SchemaUnknown as error:
        raise CliError(f"{str(error)[0].upper()}{str(error)[1:]}.") from error


async def _check(url: str) -> None:
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=10) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        raise CliError(f"Cannot connect to the database in DATABASE_URL: {str(error).strip()}") from error
    if version < OLDEST_VERSION:
        raise CliError(f"DATABASE_URL is PostgreSQL {version // 10000}; 17 or newer is needed.")


def _place(url: str) -> str:
    # Never the password.
    given = psycopg.conninfo.conninfo_to_dict(url)
    return f"database {given.get('dbname', '')} on {given.get('host', 'localhost')}"


async def _watch_nothing() -> None:
    await asyncio.Event().wait()
