"""Probes and retries look at the parts that runs need: none takes one that has ended for one that is away."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from relayrun_core.database import Database, is_transient
from relayrun_core.rotating import RotatingSecret
from relayrun_runner.errors import DatabaseAway
from relayrun_runner.http.app import make_app
from relayrun_runner.http.routes import Parts
from relayrun_runner.process.graphs_loop import GraphsLoop
from relayrun_runner.process.health import EssentialParts, Readiness
from relayrun_runner.process.metrics import RunnerMetrics
from relayrun_runner.retry import until_deadline
from relayrun_runner.runs.table import RunTable
from relayrun_runner.runs.watch import WatchStreams


def protocol(essential_parts: EssentialParts) -> Parts:
    """A runner that is ready, as far as it is for itself to say."""
    metrics = RunnerMetrics("agent")
    table, graphs_loop, readiness = RunTable(1, metrics), GraphsLoop(), Readiness()
    readiness.clear("start")
    graphs_loop.open(asyncio.get_running_loop(), object())  # type: ignore[arg-type]  # nothing is executed
    watching = WatchStreams(None, table, lambda: 0.0, list)  # type: ignore[arg-type]  # nobody watches
    return Parts(RotatingSecret("token"), table, graphs_loop, readiness, metrics, watching, essential_parts)


async def test_a_process_that_has_lost_a_part_is_neither_ready_nor_alive(database_url: str) -> None:
    essential_parts = EssentialParts()
    transport = httpx.ASGITransport(make_app(protocol(essential_parts)))
    async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:

        async def probed() -> list[int]:
            return [(await client.get(path)).status_code for path in ("/healthz", "/readyz")]

        async with Database.open(database_url, role="runner") as database:
            essential_parts.add("the pool", lambda: database.pool.closed)
            assert await probed() == [200, 200]
        assert essential_parts.ended() == "the pool"
        assert await probed() == [503, 503]


async def test_a_closed_pool_is_not_a_database_that_is_away(database_url: str) -> None:
    async with Database.open(database_url, role="runner") as database:
        pass
    with pytest.raises(Exception, match="already closed") as caught:
        await database.fetch_one("SELECT 1")
    assert not is_transient(caught.value)
    async with asyncio.timeout(30):  # it is not asked again until the deadline
        with pytest.raises(DatabaseAway, match="this process has closed its connections"):
            await until_deadline(lambda: database.fetch_one("SELECT 1"), float("inf"), "reading")
