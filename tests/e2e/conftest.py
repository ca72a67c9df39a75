"""Crash tests: real runners on a real database, shared by the session; each test plays the engine (`crash`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from tests.support.crash import Crash
from tests.support.dev import Dev, relayrun_dev
from tests.support.gated import Place, gated_dev
from tests.support.pool import RunnerPool
from tests.support.postgres import fresh_database
from tests.support.runner import RunnerSetup


@pytest.fixture(scope="session")
async def crash_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """One database for all runners of the session; each test has threads of its own."""
    async with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
async def pool(crash_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunnerPool]:
    async with RunnerPool(RunnerSetup(crash_database, tmp_path_factory.mktemp("crash"))) as pool:
        yield pool


@pytest.fixture
async def crash(crash_database: str, pool: RunnerPool) -> AsyncIterator[Crash]:
    async with Database.open(crash_database, role="world") as database:
        crash = Crash(database, pool)
        yield crash
        await crash.close()


@pytest.fixture(scope="session")
async def session_dev() -> AsyncIterator[Dev]:
    async with relayrun_dev(runners=3) as dev:
        yield dev


@pytest.fixture(scope="session")
async def compat_dev() -> AsyncIterator[Dev]:
    """`relayrun dev` with the graphs that clients are tried with; nothing of it is killed."""
    config = Path(__file__).parents[1] / "compat" / "agent" / "langgraph.json"
    async with relayrun_dev(config=config) as dev:
        yield dev


@pytest.fixture
async def dev(session_dev: Dev) -> Dev:
    """The session's `relayrun dev`; tests may kill any of it, and leave it running."""
    if not session_dev.process.is_running():
        await session_dev.start()
    return session_dev


@pytest.fixture(scope="module")
async def place(postgres: EmbeddedPostgres) -> AsyncIterator[Place]:
    """A `relayrun dev` with gates; tests may kill any of it, which comes back."""
    async with gated_dev(postgres) as place:
        yield place
