"""Runners in a cluster: found behind the headless Service of their Agent, counted by the Agent's status."""

import asyncio
import socket
from collections.abc import Sequence

from relayrun_api.kube.agents import AgentDirectory
from relayrun_api.runners.client import Pools, RunnerEntry
from relayrun_core.kinds.names import RUNNER_PORT, runner_service


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


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
