"""The pools of runner pods: creates and deletes them as the engine says. A deleted pod drains during its grace."""

import asyncio
import logging
import time
from collections.abc import Callable
from signal import SIGKILL
from typing import Any

from relayrun_operator.engine import Demand, decide_pool
from relayrun_operator.kube import names
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.lease import Lease
from relayrun_operator.kube.manifests import Installation, disruption_budget, runner_pod, runner_service
from relayrun_operator.kube.records import AgentRecord
from relayrun_operator.kube.runner import PodRunner
from relayrun_operator.loop.cache import Cache

logger = logging.getLogger("relayrun.kube")


class KubePool:
    """The runner pods of all Agents. `on_pod` is told of every pod that was made."""

    def __init__(
        self,
        client: KubeClient,
        lease: Lease,
        tasks: asyncio.TaskGroup,
        cache: Cache[PodRunner],
        *,
        installation: Installation,
        on_pod: Callable[[dict[str, Any]], None],
        on_agent: Callable[[AgentRecord], None],
    ) -> None:
        self._client = client
        self._lease = lease
        self._tasks = tasks
        self._cache = cache
        self._installation = installation
        self._on_pod = on_pod
        self._on_agent = on_agent
        self._busy: set[str] = set()

    def adjust(self, agents: dict[str, AgentRecord], silent: frozenset[str]) -> None:
        """Start and drain what the engine wants started and drained.

        A container that restarts has lost its runs, but its pod is still one of the pool, and counts against `max`.
        """
        now = time.monotonic()
        demand = self._cache.demand()
        for agent in agents.values():
            runners = [runner for runner in self._cache.runners.values() if runner.agent == agent.key]
            views = [runner.pool_view for runner in runners]
            decision = decide_pool(agent.view, views, silent, demand.get(agent.key, Demand()), now)
            for name in decision.broken:
                self._note_broken(agent, self._cache.runners[name], now)
            for name in decision.drain:
                self.drain(self._cache.runners[name])
            for runner in runners:
                if runner.owner is not None and not runner.draining and self._is_done(runner):
                    self.drain(runner)
            self._note_ready(agent, runners)
            if agent.key not in self._busy:
                agent.restarts, count = agent.restarts.grant(decision.start, now)
                min_available = max(0, decision.wanted - 1)
                unmade = not agent.pinned and (not agent.service_made or agent.min_available != min_available)
                if count or (unmade and now >= agent.restarts.retry_at):
                    self._busy.add(agent.key)
                    self._tasks.create_task(self._grow(agent, count, min_available), name=f"pods of {agent.key}")

    def drain(self, runner: PodRunner) -> None:
        """Delete its pod: SIGTERM drains it, and what it executes goes on elsewhere."""
        if runner.draining:
            return
        runner.draining = True
        runner.changed(time.monotonic())
        self._tasks.create_task(self._delete(runner), name=f"delete {runner.name}")

    def remove(self, runner: PodRunner) -> None:
        """Delete what is left of a pod that has ended."""
        self._tasks.create_task(self._delete(runner), name=f"delete {runner.name}")

    def _note_broken(self, agent: AgentRecord, runner: PodRunner, now: float) -> None:
        """The kubelet lets it wait; another pod takes its place, as quickly as that of a runner that was killed."""
        if runner.end_noted:
            return
        runner.end_noted = True
        logger.warning("runner %s waits for its container to be started again: another one replaces it", runner.name)
        if runner.generation == agent.view.generation:
            agent.restarts = agent.restarts.ended(-SIGKILL, was_ready=True, started_at=runner.started_at, now=now)

    def _note_ready(self, agent: AgentRecord, runners: list[PodRunner]) -> None:
        newest = [runner for runner in runners if runner.generation == agent.view.generation]
        ready = frozenset(runner.name for runner in newest if runner.ready and not runner.down)
        if ready - agent.ready:
            agent.restarts = agent.restarts.became_ready()
        agent.ready = ready

    def _is_done(self, runner: PodRunner) -> bool:
        """With `Pod` isolation: its run has ended, or never came."""
        run = self._cache.runs.get(runner.owner or "")
        return run is None or run.status.finished or (run.runner not in (None, runner.name))

    async def _grow(self, agent: AgentRecord, count: int, min_available: int) -> None:
        begun, missing = time.monotonic(), count
        try:
            if not agent.pinned:
                await self._make_service(agent)
            for _ in range(count):
                if not self._lease.held:
                    return
                ordinal = self._free_ordinal(agent)
                pod = runner_pod(agent.body, agent.spec, self._installation, ordinal, agent.view.generation)
                try:
                    # A typo in the podTemplate must not be dropped in silence.
                    made = await self._client.create(names.core_path(agent.namespace, "pods"), pod, strict=True)
                except KubeError as error:
                    if error.conflict:
                        # Its name is still taken by one that goes; it will be seen, or be gone.
                        made = await self._client.get(names.core_path(agent.namespace, "pods", pod["metadata"]["name"]))
                    else:
                        raise
                self._on_pod(made)
                missing -= 1
            if not agent.pinned:
                await self._set_budget(agent, min_available)
        except KubeError as error:
            self._refused(agent, error, begun, missing)
        else:
            if (agent.refusal or agent.failure) and count:
                agent.refusal = agent.failure = ""
                self._on_agent(agent)
        finally:
            self._busy.discard(agent.key)

    def _refused(self, agent: AgentRecord, error: KubeError, begun: float, missing: int) -> None:
        now = time.monotonic()
        agent.restarts = agent.restarts.failed(started_at=begun, now=now, count=missing)
        seconds = agent.restarts.retry_at - now
        agent.refusal, agent.failure = (error.message, "") if error.refused else ("", error.message)
        self._on_agent(agent)
        logger.warning("no runner for agent %s, trying again in %.0f s: %s", agent.key, seconds, error)

    async def _make_service(self, agent: AgentRecord) -> None:
        if agent.service_made:
            return
        try:
            await self._client.create(names.core_path(agent.namespace, "services"), runner_service(agent.body))
        except KubeError as error:
            if not error.conflict:
                raise
        agent.service_made = True

    async def _set_budget(self, agent: AgentRecord, min_available: int) -> None:
        """A drain of nodes takes one runner at a time."""
        if agent.min_available == min_available:
            return
        budget = disruption_budget(agent.body, min_available)
        try:
            await self._client.create(names.budget_path(agent.namespace), budget)
        except KubeError as error:
            if error.refused:  # pods are made without it as well
                logger.warning("no PodDisruptionBudget for agent %s: %s", agent.key, error)
            elif error.conflict:
                path = names.budget_path(agent.namespace, budget["metadata"]["name"])
                await self._client.patch(path, {"spec": {"minAvailable": min_available}})
            else:
                raise
        agent.min_available = min_available

    def _free_ordinal(self, agent: AgentRecord) -> int:
        taken = {runner.pod_name for runner in self._cache.runners.values() if runner.agent == agent.key}
        ordinal = 0
        while names.pod_name(agent.name, agent.view.generation, ordinal) in taken:
            ordinal += 1
        return ordinal

    async def _delete(self, runner: PodRunner) -> None:
        path = names.core_path(runner.namespace, "pods", runner.pod_name)
        try:
            self._lease.check()
            await self._client.delete(path, {"preconditions": {"uid": runner.uid}})
        except KubeError as error:
            if not error.conflict:
                logger.warning("pod %s was not deleted: %s", runner.name, error)
                asyncio.get_running_loop().call_later(2.0, self._again, runner)

    def _again(self, runner: PodRunner) -> None:
        if self._cache.runners.get(runner.name) is runner:
            runner.draining = False
