"""An API on a real database and a real port, and clients for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from relayrun_api.app import create_app
from relayrun_api.services import Services
from relayrun_api.serving import WEBSOCKETS, Server
from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from tests.api.cluster import NAMESPACE, Cluster, api_cluster
from tests.api.play import MESSAGES, STEPS, register
from tests.api.process import ApiProcess, api_process
from tests.support.postgres import fresh_database
from tests.support.waiting import until, until_it_is


@dataclass(frozen=True)
class Api:
    """A running API."""

    app: FastAPI
    server: Server
    url: str
    database: Database
    http: httpx.AsyncClient
    sdk: LangGraphClient


@asynccontextmanager
async def serving(settings: ApiSettings) -> AsyncIterator[tuple[FastAPI, Server, str]]:
    """The API on a port of its own."""
    app = create_app(settings)
    # Said by name, for without it asyncio leaves Nagle's algorithm on, which costs each answer 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_config=None, access_log=False, proxy_headers=False, timeout_graceful_shutdown=3, **WEBSOCKETS
        )
        server = Server(config, app)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await until(lambda: server.started or task.done())
            yield app, server, f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def until_metrics_say(api: Api, line: str) -> None:
    """Wait for a line of /metrics: a counter moves a moment after what it counts can be seen in the database."""

    async def said() -> bool:
        return line in (await api.http.get("/metrics")).text

    await until_it_is(said)


def open_streams(api: Api) -> float:
    """How many event streams the API has open."""
    services: Services = api.app.state.services
    return sum(sample.value for family in services.metrics.sse_connections.collect() for sample in family.samples)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> ApiSettings:
    return ApiSettings(
        database_url=database_url, auth="none", runners_file=tmp_path / "runners.json", cors_allow_localhost=True
    )


@asynccontextmanager
async def opened(settings: ApiSettings) -> AsyncIterator[Api]:
    """An API with two graphs, and clients for it."""
    async with Database.open(settings.database_url.get_secret_value(), role="runner") as database:
        await register(database, "steps", STEPS)
        await register(database, "talk", MESSAGES)
        async with serving(settings) as (app, server, base), httpx.AsyncClient(base_url=base, timeout=20) as http:
            sdk = get_client(url=base, api_key=None)
            try:
                yield Api(app, server, base, database, http, sdk)
            finally:
                await sdk.aclose()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """This test's, with the graph `talk`, as a runner has it."""
    async with Database.open(database_url, role="runner") as database:
        await register(database, "talk", MESSAGES)
        yield database


@pytest.fixture
async def replicas(database: Database) -> AsyncIterator[tuple[ApiProcess, ApiProcess]]:
    """Two processes on one database."""
    async with AsyncExitStack() as stack:
        both = [stack.enter_async_context(api_process(database.url)) for _ in range(2)]
        first, second = await asyncio.gather(*both)
        yield first, second


@pytest.fixture
async def api(settings: ApiSettings) -> AsyncIterator[Api]:
    """An API on a database of the test's own."""
    async with opened(settings) as running:
        yield running


@pytest.fixture(scope="module")
async def shared(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    """An API for the many tests that leave nothing behind that another could trip over."""
    async with fresh_database(postgres) as url:
        settings = ApiSettings(database_url=url, auth="none", cors_allow_localhost=True)
        async with opened(settings) as api:
            yield api


@pytest.fixture
async def alice(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A user of an API that asks who calls."""
    from tests.api.access import as_user, caller  # it needs this module

    async with caller(api, as_user("alice")) as client:
        yield client


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """The server of a cluster, to which the environment leads."""
    async with api_cluster(tmp_path) as (there, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
        yield there


@pytest.fixture
async def clustered(cluster: Cluster, database_url: str) -> AsyncIterator[Api]:
    """An API whose runs become that cluster's AgentRuns."""
    settings = ApiSettings(database_url=database_url, world="kubernetes", namespace=NAMESPACE, auth="none")
    async with opened(settings) as running:
        yield running
