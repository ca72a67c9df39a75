"""Everything an API process does in a cluster, running."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relayrun_api.kube.agents import AgentDirectory
from relayrun_api.kube.checks import cluster_checks
from relayrun_api.kube.client import Kube
from relayrun_api.kube.dispatch import KubeDispatcher
from relayrun_api.kube.reconciler import Reconciler
from relayrun_api.kube.runners import ServiceRunners
from relayrun_api.world import World
from relayrun_core.database import Database
from relayrun_core.settings import ApiSettings


@asynccontextmanager
async def open_cluster(settings: ApiSettings, database: Database) -> AsyncIterator[World]:
    """The cluster as the API's world; the reconciler runs meanwhile."""
    async with Kube.open() as kube:
        agents = AgentDirectory(kube, settings.namespaces)
        async with KubeDispatcher.open(kube, agents, database) as dispatcher:
            reconciler = Reconciler(database, kube, agents, dispatcher)
            background = asyncio.gather(agents.run(), reconciler.run())
            try:
                checks = cluster_checks(kube, agents, settings.namespace)
                yield World(dispatcher, ServiceRunners(agents), checks, agents.existing)
            finally:
                background.cancel()
                await asyncio.gather(background, return_exceptions=True)
