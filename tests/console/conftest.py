"""The console as it is built, the API that serves it, and a browser that looks at it."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from relayrun_api import console
from relayrun_cli.postgres import EmbeddedPostgres
from tests.console.looking import Looked, looking
from tests.examples.visiting import RUNNER_TOKEN
from tests.support import npm
from tests.support.browser import browsing
from tests.support.dev import Dev, relayrun_dev
from tests.support.postgres import fresh_database

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "console"
CONFIG = HERE / "agent" / "langgraph.json"

# It takes the pictures of the docs, and is run for them alone.
collect_ignore = [] if os.environ.get("SCREENSHOTS") else ["test_screenshots.py"]

expect.set_options(timeout=30_000)


def _build(config: pytest.Config) -> None:
    """Build the console, unless what is there is newer than its sources. One worker builds, the others wait."""
    with (SOURCES / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        there = npm.installed(config, SOURCES, "the console was", required="REQUIRE_CHROMIUM")
        built = console.STATIC / "index.html"
        sources = [*SOURCES.glob("*.*"), *(SOURCES / "src").rglob("*.*")]
        if not built.is_file() or max(path.stat().st_mtime for path in sources) > built.stat().st_mtime:
            npm.run(SOURCES, there, "run", "build", "--", "--logLevel", "warn")


@pytest.fixture(scope="session")
async def browser(pytestconfig: pytest.Config) -> AsyncIterator[Browser]:
    async with browsing(pytestconfig) as browser:
        await asyncio.to_thread(_build, pytestconfig)
        yield browser


@pytest.fixture(scope="session")
async def dev_database(browser: Browser, postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """After the browser and the build: where they are missing nothing else need be started."""
    async with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
async def dev(dev_database: str) -> AsyncIterator[Dev]:
    environment = {"DATABASE_URL": dev_database, "RELAYRUN_RUNNER_TOKEN": RUNNER_TOKEN}
    async with relayrun_dev(config=CONFIG, environment=environment) as dev:
        await dev.answers()
        yield dev


@pytest.fixture
async def looked(browser: Browser, dev: Dev) -> AsyncIterator[Looked]:
    async with looking(browser, dev.url) as looked:
        yield looked


@pytest.fixture
def page(looked: Looked) -> Page:
    """A page of the console. Whatever breaks in it fails the test."""
    return looked.page
