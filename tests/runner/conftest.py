"""One runner for the tests that only talk to it; whoever stops a runner starts one of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from tests.runner.agents import PLAY, PLAY_GRAPHS
from tests.runner.ends import ENDS, ENDS_GRAPHS, Place
from tests.runner.processes import RunnerProcess, runner_process, write_agent
from tests.support.postgres import fresh_database


@pytest.fixture(scope="package")
def shared_play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent of the shared runner."""
    return write_agent(tmp_path_factory.mktemp("shared") / "play", PLAY, graphs=PLAY_GRAPHS)


@pytest.fixture(scope="package")
async def shared_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The shared runner's database."""
    async with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="package")
async def shared_database(shared_url: str) -> AsyncIterator[Database]:
    """The tests' own connections to it."""
    async with Database.open(shared_url, role="world", max_size=4) as opened:
        yield opened


@pytest.fixture(scope="package")
async def shared_runner(shared_play: Path, shared_url: str) -> AsyncIterator[RunnerProcess]:
    """A ready runner; starting one costs seconds."""
    async with runner_process(shared_play, shared_url) as process:
        await process.wait_ready()
        yield process


@pytest.fixture(scope="package")
async def place(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A runner of the graphs that end in many ways."""
    graphs = {name: f"./agent.py:{name}" for name in ENDS_GRAPHS}
    config = write_agent(tmp_path_factory.mktemp("shared") / "ends", ENDS, graphs=graphs)
    async with (
        fresh_database(postgres) as url,
        Database.open(url, role="world", max_size=4) as database,
        runner_process(config, url) as runner,
    ):
        await runner.wait_ready()
        yield Place(runner, database)


@pytest.fixture
def play(tmp_path: Path) -> Path:
    """The `langgraph.json` of the agent that waits, asks, blocks and sticks, for one test."""
    return write_agent(tmp_path / "play", PLAY, graphs=PLAY_GRAPHS)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Connections of one test to a database of its own."""
    async with Database.open(database_url, role="world", max_size=4) as opened:
        yield opened
