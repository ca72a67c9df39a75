"""The world an API process is in: how its runs reach a runner, and what can be seen of that."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from relayrun_api.runners.client import RunnersFile, RunnerSource
from relayrun_api.runners.dispatch import Dispatcher, LocalDispatcher
from relayrun_api.runners.graphs import all_of_them
from relayrun_api.system.status import ClusterChecks, no_cluster
from relayrun_core.database import Database
from relayrun_core.settings import ApiSettings


@dataclass(frozen=True)
class World:
    """What differs between a cluster and a laptop."""

    dispatcher: Dispatcher
    runners: RunnerSource
    checks: ClusterChecks
    existing: Callable[[Collection[str]], Awaitable[Collection[str]]]
    """Those of the agents of these names that there are, as far as known."""


@asynccontextmanager
async def open_world(settings: ApiSettings, database: Database) -> AsyncIterator[World]:
    """The world that the settings name."""
    if settings.world == "local":
        yield World(LocalDispatcher(), RunnersFile(settings.runners_file), no_cluster, all_of_them)
        return
    # Only there is the Kubernetes client installed.
    from relayrun_api.kube.world import open_cluster

    async with open_cluster(settings, database) as world:
        yield world
