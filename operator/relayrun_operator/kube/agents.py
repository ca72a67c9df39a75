"""The Agents: as the API server has them, and the status to write back."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from relayrun_core.graph_names import holders
from relayrun_operator.engine import Demand
from relayrun_operator.engine.pool import wanted_runners
from relayrun_operator.kube import names, reasons
from relayrun_operator.kube.agentstatus import PoolFacts, agent_status
from relayrun_operator.kube.deaths import restarts_of
from relayrun_operator.kube.events import About, EventPoster
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.records import AgentRecord
from relayrun_operator.kube.revisions import agent_of_pool, pin_ends_at
from relayrun_operator.kube.runner import PodRunner
from relayrun_operator.kube.writer import StatusWriter
from relayrun_operator.loop.cache import Cache

logger = logging.getLogger("relayrun.kube")


class AgentTarget:
    """An Agent as the status writer sees it."""

    def __init__(self, agents: "Agents", key: str, path: str) -> None:
        self.path = path
        self._agents = agents
        self._key = key

    def wanted(self) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """See Target."""
        agent = self._agents.by_key.get(self._key)
        if agent is None:
            return None
        return agent.resource_version, agent.status, self._agents.status_of(agent)

    def written(self, body: dict[str, Any]) -> None:
        """See Target."""
        agent = self._agents.by_key.get(self._key)
        if agent is not None and body["metadata"]["uid"] == agent.body["metadata"]["uid"]:
            agent.resource_version = body["metadata"]["resourceVersion"]
            agent.status = dict(body.get("status") or {})


class Agents:
    """Knows all Agents, keeps their status and the gauges up to date."""

    def __init__(
        self, cache: Cache[PodRunner], writer: StatusWriter, events: EventPoster, metrics: OperatorMetrics
    ) -> None:
        self.by_key: dict[str, AgentRecord] = {}
        self._cache = cache
        self._writer = writer
        self._events = events
        self._metrics = metrics
        self._demand: dict[str, Demand] = {}
        self._posted: dict[str, str] = {}
        self._silent: frozenset[str] = frozenset()
        self._taken: dict[str, dict[str, str]] = {}
        self._refused: frozenset[str] = frozenset()

    def refresh(self, silent: frozenset[str]) -> None:
        """Work out every status again, and have written what differs. `silent`: runners that are given up."""
        self._silent = silent
        self._demand = _by_agent(self._cache.demand())
        self._taken = taken_names(self.by_key.values(), self._graphs_of)
        self._observe()
        self._post_refusals()
        for agent in self.by_key.values():
            wanted = self.status_of(agent)
            if wanted != agent.status:
                self._post_readiness(agent, wanted)
                path = names.agents_path(agent.namespace, agent.name) + "/status"
                self._writer.touch(AgentTarget(self, agent.key, path))

    def status_of(self, agent: AgentRecord) -> dict[str, Any]:
        """The Agent's status as it should be."""
        runners = [runner for runner in self._cache.runners.values() if runner.agent == agent.key]
        made_of = Counter(r.generation for r in self._cache.runners.values() if agent_of_pool(r.agent) == agent.key)
        ready = [runner for runner in runners if self._state(runner) == "ready"]
        demand = self._demand.get(agent.key, Demand())
        facts = PoolFacts(
            generation=agent.body["metadata"].get("generation"),
            wanted=wanted_runners(agent.view, demand),
            replicas=len(runners),
            ready=len(ready),
            updated=sum(runner.generation == agent.view.generation for runner in runners),
            active_threads=demand.active,
            queued_runs=demand.queued,
            graphs=self._graphs_of(agent),
            agent=agent.name,
            revision=agent.view.generation,
            revisions=[
                (revision, pin_ends_at(revision, agent.spec.update_strategy), made_of[revision.name])
                for revision in agent.revisions.values()
            ],
            taken=self._taken.get(agent.key, {}),
            suspended=agent.spec.suspend,
            refusal=agent.refusal,
            failure=agent.failure,
            pods=[runner.pod for runner in runners if runner not in ready],
            troubles=[trouble for runner in runners if not runner.ready for trouble in runner.troubles],
            refused=[runner.pod_name for runner in runners if self._state(runner) == "refused"],
            waits_for=[sentence for runner in runners if not runner.ready for sentence in runner.waits_for],
            runners=[
                self._listed(runner)
                for runner in self._cache.runners.values()
                if agent_of_pool(runner.agent) == agent.key
            ],
            deaths=agent.deaths,
        )
        return agent_status(facts, agent.status, time.time())

    def _listed(self, runner: PodRunner) -> dict[str, Any]:
        return {
            "name": runner.pod_name,
            "state": self._state(runner),
            "slots": runner.slots,
            "revision": str(runner.generation),
            "restarts": restarts_of(runner),
        }

    def _graphs_of(self, agent: AgentRecord) -> set[str]:
        runners = (r for r in self._cache.runners.values() if r.agent == agent.key and self._state(r) == "ready")
        return {graph for runner in runners for graph in runner.graphs} or set(agent.status.get("graphs") or ())

    def _state(self, runner: PodRunner) -> str:
        if runner.draining:
            return "draining"
        if runner.client.refused and not runner.down:
            return "refused"
        if runner.name in self._silent:
            return "lost"
        return "ready" if runner.ready and runner.holder is not None else "starting"

    def _observe(self) -> None:
        active = Counter({name: demand.active for name, demand in self._demand.items()})
        queued = Counter({name: demand.queued for name, demand in self._demand.items()})
        runners = Counter((agent_of_pool(runner.agent), self._state(runner)) for runner in self._cache.runners.values())
        self._metrics.observe_agents(self.by_key, active, queued, runners)

    def _post_refusals(self) -> None:
        refused = {name: runner for name, runner in self._cache.runners.items() if self._state(runner) == "refused"}
        for name in refused.keys() - self._refused:
            runner = refused[name]
            agent = self.by_key.get(agent_of_pool(runner.agent))
            if agent is not None:
                about = About("Agent", agent.namespace, agent.name, agent.body["metadata"]["uid"])
                sentence = reasons.UNAUTHORIZED.format(pods=runner.pod_name)
                self._events.post(about, reasons.AgentReason.UNAUTHORIZED, sentence, unusual=True)
        self._refused = frozenset(refused)

    def _post_readiness(self, agent: AgentRecord, status: dict[str, Any]) -> None:
        ready = next(entry for entry in status["conditions"] if entry["type"] == reasons.READY)
        before = self._posted.get(agent.key)
        if before == ready["reason"]:
            return
        self._posted[agent.key] = ready["reason"]
        metadata = agent.body["metadata"]
        about = About("Agent", agent.namespace, agent.name, metadata["uid"])
        wrong = ready["status"] == "False" and ready["reason"] != reasons.AgentReason.PROGRESSING
        self._events.post(about, ready["reason"], ready["message"], unusual=wrong)


def _by_agent(demand: Mapping[str, Demand]) -> dict[str, Demand]:
    """What each Agent has to carry, with its replaced revisions."""
    added: dict[str, Demand] = {}
    for pool, one in demand.items():
        key = agent_of_pool(pool)
        other = added.get(key, Demand())
        added[key] = Demand(
            other.active + one.active,
            other.queued + one.queued,
            other.suspects + one.suspects,
            other.queued_suspects + one.queued_suspects,
        )
    return added


def taken_names(
    agents: Iterable[AgentRecord], graphs_of: Callable[[AgentRecord], Collection[str]]
) -> dict[str, dict[str, str]]:
    """By an Agent's key: those of its graphs whose plain name another Agent has, each with that Agent's name."""
    offers: dict[str, list[AgentRecord]] = {}
    for agent in agents:
        for graph in graphs_of(agent):
            offers.setdefault(graph, []).append(agent)
    taken: dict[str, dict[str, str]] = {}
    for graph, offering in offers.items():
        holding = [claimant.agent for claimant in holders(agent.claimant for agent in offering)]
        for agent in offering:
            if agent.name not in holding:
                taken.setdefault(agent.key, {})[graph] = holding[0]
    return taken
