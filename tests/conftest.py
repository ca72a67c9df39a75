"""Fixtures for all: `postgres` (the session's server) and `database_url` (a migrated database a test)."""

from __future__ import annotations

import gc
import signal
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from relayrun_cli.postgres import EmbeddedPostgres
from tests.support import authorities
from tests.support.postgres import fresh_database, session_server

# A shell starts what it puts into the background with Ctrl-C ignored, and all processes of the tests would inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Collection makes millions of objects, most of which stay: looking through them again and again is a quarter of its
# time.
gc.disable()

authorities.load_once()

# How long an example takes says more of the machine's load than of what is tested.
# The same examples each time: what a change did not break does not stop it.
settings.register_profile("gate", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("gate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with long tests come first: a worker that takes one as the last keeps all others waiting."""
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("crash")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    """One embedded server for the whole session. Its fsync is off: a test that kills it starts its own."""
    async with session_server() as server:
        yield server


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a fresh database with the schema of this version, for our one role."""
    async with fresh_database(postgres) as url:
        yield url
