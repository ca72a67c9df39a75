"""Makes all services of one API process, and closes them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from relayrun_api import __version__
from relayrun_api.assistants.drawings import DrawingService
from relayrun_api.assistants.lookup import AssistantLookup
from relayrun_api.assistants.service import AssistantService
from relayrun_api.auth.custom import CustomAuth
from relayrun_api.crons.service import CronService
from relayrun_api.custom_routes.service import CustomRoutes, open_transport
from relayrun_api.http.shares import Reads, Shares
from relayrun_api.metrics import Metrics
from relayrun_api.runners.author_handlers import AuthorHandlers
from relayrun_api.runners.client import Runners, RunnersFile
from relayrun_api.runners.dispatch import LocalDispatcher
from relayrun_api.runners.graphs import GraphCatalog, all_of_them
from relayrun_api.runners.starting import Starting
from relayrun_api.runners.transport import RunnerTransport
from relayrun_api.runs.cancellation import CancelService
from relayrun_api.runs.service import RunService
from relayrun_api.services import Services, World
from relayrun_api.settings import ApiSettings
from relayrun_api.store.service import StoreService
from relayrun_api.streaming.hub import EventHub
from relayrun_api.system.status import StatusService, no_cluster
from relayrun_api.threads.states import StateService
from relayrun_api.webhooks.rules import WebhookRules
from relayrun_core.database import Database

# Long enough for a burst, short enough to say that the database is away while the client still waits.
_CONNECTION_WAIT_SECONDS = 3.0
# Runners are asked directly: a proxy of the environment would see their token.
_RUNNER_TIMEOUT = httpx.Timeout(30.0, connect=1.0)
# Many owners' shares; what waits here has a runner to go to.
_RUNNER_CONNECTIONS = httpx.Limits(max_connections=1000, max_keepalive_connections=50)


@asynccontextmanager
async def open_services(settings: ApiSettings, metrics: Metrics, shares: Shares) -> AsyncIterator[Services]:
    """Connect to everything; close it at the block's end."""
    where, reading = settings.database, max(1, settings.database_connections * 2 // 5)
    async with (
        Database.open(
            where,
            role="api",
            min_size=2,
            max_size=settings.database_connections - reading,
            timeout_seconds=_CONNECTION_WAIT_SECONDS,
        ) as database,
        httpx.AsyncClient(
            transport=RunnerTransport(limits=_RUNNER_CONNECTIONS), timeout=_RUNNER_TIMEOUT, trust_env=False
        ) as client,
        open_transport() as transport,
        Reads.open(where, reading, settings.search_seconds) as reads,
        EventHub.open(database, settings.direct_database) as hub,
        _open_world(settings, database) as world,
    ):
        starting = Starting(world.runners.pools)
        catalog = GraphCatalog(database, starting, world.claimants)
        runners = Runners(world.runners, client, settings.runner_tokens, shares)
        lookup = AssistantLookup(database, catalog, settings.default_graph)
        runs = RunService(database, hub, world.dispatcher, WebhookRules.of(settings))
        handlers = AuthorHandlers(runners, catalog, settings.auth_agent)
        custom = CustomAuth(handlers) if "custom" in settings.auth_kinds else None
        yield Services(
            settings=settings,
            database=database,
            reads=reads,
            hub=hub,
            catalog=catalog,
            assistants=AssistantService(database, catalog, lookup),
            assistant_lookup=lookup,
            drawings=DrawingService(runners),
            runners=runners,
            runs=runs,
            cancels=CancelService(database, world.dispatcher),
            dispatcher=world.dispatcher,
            crons=CronService(database, catalog, lookup, runs, settings.crons_per_owner, custom),
            custom_routes=CustomRoutes(catalog, runners, transport, settings.custom_route_seconds),
            handlers=handlers,
            starting=starting,
            states=StateService(database, runners, catalog),
            store=StoreService(runners, catalog, database, settings.default_graph),
            revisions=world.revisions,
            status=StatusService(database, runners, __version__, world.checks),
            metrics=metrics,
            shares=shares,
        )


async def _no_revisions(_: str) -> Sequence[Mapping[str, Any]]:
    """A local agent has the code that its files have."""
    return ()


@asynccontextmanager
async def _open_world(settings: ApiSettings, database: Database) -> AsyncIterator[World]:
    """The world that the settings name."""
    if settings.world == "local":
        yield World(LocalDispatcher(), RunnersFile(settings.runners_file), no_cluster, _no_revisions, all_of_them)
        return
    # Only there is the Kubernetes client installed.
    from relayrun_api.kube.world import open_cluster

    async with open_cluster(settings, database) as world:
        yield world
