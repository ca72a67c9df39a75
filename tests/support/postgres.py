"""Real Postgres for tests: one embedded server a session, a migrated database of its own for each test."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
from psycopg import sql

from relayrun_cli.errors import CliError
from relayrun_cli.postgres import EmbeddedPostgres, remove_data

PREFIX = "relayrun-tests-"
# A new database is hundreds of small files: on a disk it takes a second of a busy machine, in memory a tenth.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 4 << 30
TEMPLATE = "migrated"
# No operating system crashes in a test, and what a killed process wrote is kept without fsync.
FAST = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB", "max_connections": "400"}


@asynccontextmanager
async def scratch_folder(name: str = "tests") -> AsyncIterator[Path]:
    """A temporary folder that Postgres's user can enter (pytest's own are for their owner alone).

    Leftovers of a killed session are removed first, running servers included. At the end all is removed.
    """
    for leftover in _leftovers():
        with contextlib.suppress(CliError, OSError):  # somebody else's, or in use
            await remove_data(leftover / ".relayrun")
            shutil.rmtree(leftover)
    folder = _new_folder(name)
    try:
        yield folder
    finally:
        await remove_data(folder / ".relayrun")
        shutil.rmtree(folder)


@asynccontextmanager
async def session_server(*, langgraph: bool = True) -> AsyncIterator[EmbeddedPostgres]:
    """A server with a migrated template database, which has LangGraph's tables too unless told."""
    async with scratch_folder() as folder, EmbeddedPostgres(folder / ".relayrun", settings=FAST) as server:
        await _create(server, TEMPLATE, "template1")
        await migrate_all(server.url_of(TEMPLATE), langgraph=langgraph)
        yield server


@asynccontextmanager
async def fresh_database(server: EmbeddedPostgres, template: str = TEMPLATE) -> AsyncIterator[str]:
    """The URL of a new migrated database, dropped at the end with whatever is still connected to it."""
    name = f"test_{uuid4().hex[:12]}"
    await _create(server, name, template)
    try:
        yield server.url_of(name)
    finally:
        await _administer(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def wal_writer(postmaster: int) -> psutil.Process:
    """The process of a server that makes asynchronous commits durable."""
    return next(child for child in psutil.Process(postmaster).children() if "walwriter" in " ".join(child.cmdline()))


async def _create(server: EmbeddedPostgres, name: str, template: str) -> None:
    await _administer(
        server,
        sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER relayrun").format(sql.Identifier(name), sql.Identifier(template)),
    )


async def _administer(server: EmbeddedPostgres, statement: sql.Composed) -> None:
    url = server.url_of("postgres", superuser=True)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement)


async def migrate_all(url: str, *, langgraph: bool = True) -> None:
    """Make our tables, and LangGraph's."""
    # Late: tests without a database need not wait for LangGraph's import.
    from relayrun_core.db.migrate import migrate

    await migrate(url)
    if langgraph:
        from relayrun_runner.langgraph_tables import setup

        await setup(url)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _leftovers() -> list[Path]:
    found = [path for place in {_MEMORY, Path(tempfile.gettempdir())} for path in place.glob(f"{PREFIX}*-*")]
    return [path for path in found if not _alive(int(path.name.removeprefix(PREFIX).split("-")[0]))]


def _new_folder(name: str) -> Path:
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{name}-", dir=_MEMORY if in_memory else None))
    if os.geteuid() == 0:
        folder.chmod(0o755)
    return folder
