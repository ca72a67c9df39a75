"""A cluster as the API's world: runners found by DNS, checks for `/status`, dispatch and the reconciler, running."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from relayrun_api.kube.agents import AgentDirectory
from relayrun_api.kube.client import Kube, KubeRefused, Object
from relayrun_api.kube.dispatch import KubeDispatcher
from relayrun_api.kube.reconciler import Reconciler
from relayrun_api.runners.client import Pools, RunnerEntry
from relayrun_api.runners.pools import AgentPool
from relayrun_api.services import World
from relayrun_api.settings import ApiSettings
from relayrun_api.system.status import Check, ClusterChecks, Health
from relayrun_core.database import Database
from relayrun_core.kinds.names import RUNNER_PORT, runner_service

# As long as `/status` waits for the database.
_LIMIT_SECONDS = 2.0


class ServiceRunners:
    """Looks runners up by DNS, which lists only ready ones. All runners of an Agent have all of its graphs."""

    def __init__(self, agents: AgentDirectory) -> None:
        self._agents = agents

    async def able(self, agent: str, graph: str) -> Sequence[RunnerEntry]:
        """The ready runners of the agent."""
        found = await self._agents.find(agent)
        if found is None:
            return []
        host = f"{runner_service(agent)}.{found.namespace}.svc"
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.getaddrinfo(host, RUNNER_PORT, type=socket.SOCK_STREAM)
        except socket.gaierror:
            return []  # no address: no runner is ready
        hosts = sorted({str(address[0]) for *_, address in answers})
        return [RunnerEntry(host, f"http://{_bracketed(host)}:{RUNNER_PORT}", agent, (graph,)) for host in hosts]

    def pools(self) -> Pools:
        """The runners of all Agents."""
        agents = self._agents.all
        sentences = [f"agent {agent.name}: {agent.why_not}" for agent in agents if agent.why_not]
        return Pools(
            sum(agent.ready for agent in agents),
            sum(agent.desired for agent in agents),
            (*self._agents.problems, *sentences),
        )

    def pool(self, agent: str) -> AgentPool | None:
        """What the Agent's status says."""
        found = next((entry for entry in self._agents.all if entry.name == agent), None)
        return None if found is None else found.pool

    def agents(self) -> Sequence[str] | None:
        """The Agents that the API server listed a moment ago."""
        return [entry.name for entry in self._agents.all] if self._agents.answered else None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def cluster_checks(kube: Kube, agents: AgentDirectory, namespace: str) -> ClusterChecks:
    """The checks `kubernetes` and `operator`; the Lease is in `namespace`."""

    async def checks() -> dict[str, Check]:
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                lease = await kube.lease(namespace)
        except (KubeRefused, TimeoutError) as error:
            if isinstance(error, KubeRefused) and error.status == 404:
                return {"kubernetes": Check(Health.OK), "operator": Check(Health.DOWN, {"reason": "none has led yet"})}
            late = f"the Kubernetes API server does not answer within {_LIMIT_SECONDS:.0f} s"
            down = Check(Health.DOWN, {"reason": str(error) or late})
            return {"kubernetes": down, "operator": Check(Health.DOWN, {"reason": "its Lease cannot be read"})}
        cluster = Check(Health.DEGRADED, {"reason": agents.away}) if agents.away else Check(Health.OK)
        return {"kubernetes": cluster, "operator": operator_check(lease, datetime.now(UTC))}

    return checks


def operator_check(lease: Object, now: datetime) -> Check:
    """Whether an operator holds the Lease, by its last renewal."""
    spec = lease.get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if not holder or not renewed:
        return Check(Health.DOWN, {"reason": "no operator leads: one will take over within seconds"})
    age = max(0.0, (now - datetime.fromisoformat(renewed)).total_seconds())
    message = f"lease renewed {age:.0f} s ago by {holder}"
    late = age > float(spec.get("leaseDurationSeconds") or 15)
    return Check(Health.DOWN if late else Health.OK, {"reason": message})


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
                yield World(dispatcher, ServiceRunners(agents), checks, agents.revisions, agents.claimants)
            finally:
                background.cancel()
                await asyncio.gather(background, return_exceptions=True)
