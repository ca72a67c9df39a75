"""Sets up the embedded server: initialisation, settings, role and database."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from relayrun_cli.errors import PostgresError
from relayrun_cli.postgres.binaries import MAJOR_VERSION
from relayrun_cli.postgres.places import Places

SUPERUSER = "postgres"
ROLE = "relayrun"
DATABASE = "relayrun"

# Given on the command line, so that a newer Relayrun's settings reach an old data folder too.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",  # the socket's folder is the only guard: nothing listens on TCP
    "unix_socket_permissions": "0700",
    "max_connections": "200",  # API, and a pool for each of several runners
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",  # a laptop's disk
    "max_parallel_workers_per_gather": "0",  # small data; and /dev/shm is tiny in many containers
    "jit": "off",
    "log_checkpoints": "off",  # the log is for people
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # After a crash: one call in place of opening and syncing 1400 files, which takes seconds where the disk is busy.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
}


def url(socket_folder: Path, *, user: str = ROLE, database: str = DATABASE) -> str:
    """A connection URL through the socket, percent-encoded."""
    return f"postgresql://{user}@/{database}?host={quote(str(socket_folder), safe='/')}"


def server_command(binaries: Path, places: Places, socket_folder: Path, overrides: Mapping[str, str]) -> list[str]:
    """The postmaster's command line."""
    settings = {
        **SETTINGS,
        "unix_socket_directories": str(socket_folder),
        "cluster_name": places.cluster_name,
        **overrides,
    }
    command = [str(binaries / "postgres"), "-D", str(places.data)]
    return command + [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def check_version(places: Places) -> None:
    """Raise `PostgresError` if the data was written by another major version."""
    found = (places.data / "PG_VERSION").read_text().strip()
    if found != MAJOR_VERSION:
        raise PostgresError(
            f"{places.data} was written by PostgreSQL {found}, and this is {MAJOR_VERSION}: "
            "use another --data, or `relayrun reset` to start over."
        )


async def initialise(binaries: Path, places: Places) -> None:
    """Make the data folder. It gets its name last: one that was interrupted half-way is made again."""
    fresh = places.empty_data_folder()
    command: list[str | Path] = [
        *(binaries / "initdb", "-D", fresh, "-U", SUPERUSER),
        *("--auth-local=trust", "--auth-host=reject"),  # the socket's folder is 0700
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *("--data-checksums", "--no-instructions"),
    ]
    with tempfile.TemporaryFile() as log:
        process = places.account.popen(command, log=log.fileno())
        try:
            code = await asyncio.to_thread(process.wait)
        except asyncio.CancelledError:
            process.terminate()
            process.wait()
            raise
        if code != 0:
            log.seek(0)
            said = log.read().decode(errors="replace").strip()
            shutil.rmtree(fresh, ignore_errors=True)
            raise PostgresError(f"initdb of {places.data} failed:\n{said}")
    fresh.rename(places.data)


async def prepare(socket_folder: Path) -> None:
    """Our role and database, with pgvector. Does nothing where they are."""
    async with await psycopg.AsyncConnection.connect(
        url(socket_folder, user=SUPERUSER, database="template1"), autocommit=True
    ) as connection:
        # In the template, so that further databases (tests make one each) have it as well.
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        if not await _found(connection, "SELECT FROM pg_roles WHERE rolname = %s", ROLE):
            # CREATEDB for tests. Not a superuser: what works here must work on a managed Postgres.
            await connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(ROLE)))
    # Another connection: CREATE DATABASE copies the template only while nobody is connected to it.
    async with await psycopg.AsyncConnection.connect(
        url(socket_folder, user=SUPERUSER, database="postgres"), autocommit=True
    ) as connection:
        if not await _found(connection, "SELECT FROM pg_database WHERE datname = %s", DATABASE):
            await connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE))
            )


async def data_folder_behind(socket_folder: Path) -> Path | None:
    """The data folder of the server that answers on a socket; None while none accepts connections.

    The superuser's reserved connections are used, so that a full server still answers.
    """
    try:
        async with await psycopg.AsyncConnection.connect(
            url(socket_folder, user=SUPERUSER, database="postgres"), connect_timeout=5
        ) as connection:
            row = await (await connection.execute("SELECT current_setting('data_directory')")).fetchone()
    except psycopg.OperationalError:
        return None
    return Path(row[0]) if row else None


async def _found(connection: psycopg.AsyncConnection, query: str, name: str) -> bool:
    cursor = await connection.execute(query.encode(), [name])
    return cursor.rowcount > 0


def last_lines(log: Path, count: int = 12) -> str:
    """The end of the server's log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    except OSError as error:
        return f"(no log: {error.strerror})"
