"""The Agents of the installation, as the API server listed them a moment ago."""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from relayrun_api.kube.client import Kube, KubeRefused, Object
from relayrun_api.runners.pools import AgentPool, cluster_pool
from relayrun_core.graph_names import Claimant

logger = logging.getLogger("relayrun.api.agents")

_REFRESH_SECONDS = 5.0
# A name nobody has seen may be new; asking for it again and again must not become load.
_LOOK_AGAIN_SECONDS = 1.0
_NO_RUNNERS = AgentPool(0, 0)


@dataclass(frozen=True)
class AgentEntry:
    """An Agent. `why_not` is its own sentence while it is not Ready; `defaults` are fields of a RunSpec."""

    name: str
    namespace: str
    ready: int
    desired: int
    why_not: str | None
    defaults: dict[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    traffic: Mapping[str, Any] | None = None
    #: Whether open threads keep their revision.
    pins: bool = False
    current_revision: str | None = None
    revisions: tuple[Mapping[str, Any], ...] = ()
    pool: AgentPool = _NO_RUNNERS

    @property
    def claimant(self) -> Claimant:
        """What decides about its graphs' names."""
        plain = Claimant(self.name, self.created_at, revision=self.current_revision, pins=self.pins)
        if self.traffic is None:
            return plain
        return replace(plain, group=self.traffic["group"], weight=self.traffic.get("weight", 100))


class AgentDirectory:
    """Knows where each Agent is; `run()` must be running meanwhile. Without an answer it keeps what it knew."""

    def __init__(self, kube: Kube, namespaces: list[str]) -> None:
        self._kube = kube
        self._namespaces = namespaces
        self._agents: dict[str, AgentEntry] = {}
        self._looked_at = -_REFRESH_SECONDS
        self._looking = asyncio.Lock()
        #: Whether the API server has listed them once.
        self.answered = False
        #: Sentences for `/status`.
        self.problems: tuple[str, ...] = ()
        #: Why the API server did not answer the last time, if it did not.
        self.away: str | None = None

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await self._look(_REFRESH_SECONDS / 2)
            await asyncio.sleep(_REFRESH_SECONDS)

    @property
    def all(self) -> list[AgentEntry]:
        """Every Agent, by name."""
        return [self._agents[name] for name in sorted(self._agents)]

    async def claimants(self, names: Collection[str]) -> Mapping[str, Claimant] | None:
        """Those of the names that are Agents'; None before the first answer."""
        if not self.answered or (self.away is None and not self._agents.keys() >= set(names)):
            await self._look(_LOOK_AGAIN_SECONDS)
        if not self.answered:
            return None
        found = (self._agents[name] for name in names if name in self._agents)
        return {agent.name: agent.claimant for agent in found}

    async def find(self, name: str) -> AgentEntry | None:
        """The Agent of that name, or None."""
        if name not in self._agents:
            await self._look(_LOOK_AGAIN_SECONDS)
        return self._agents.get(name)

    async def revisions(self, name: str) -> Sequence[Mapping[str, Any]]:
        """The Agent's revisions, as its status lists them; the current one has `current`."""
        agent = await self.find(name)
        if agent is None:
            return ()
        return [{**entry, "current": entry["name"] == agent.current_revision} for entry in agent.revisions]

    async def namespace_of(self, name: str) -> str:
        """Where the Agent is; for one that is nowhere, where it is looked for first."""
        found = await self.find(name)
        return found.namespace if found else self._namespaces[0]

    async def _look(self, older_than_seconds: float) -> None:
        async with self._looking:
            if time.monotonic() - self._looked_at < older_than_seconds:
                return
            try:
                answers = await asyncio.gather(*(self._kube.agents(namespace) for namespace in self._namespaces))
            except KubeRefused as refused:
                if self.away is None:
                    logger.warning("cannot list Agents: %s", refused)
                self.away = str(refused)
            else:
                self._take([_entry(body) for found in answers for body in found])
                self.away = None
            self._looked_at = time.monotonic()

    def _take(self, entries: list[AgentEntry]) -> None:
        agents: dict[str, AgentEntry] = {}
        problems = []
        for entry in entries:
            first = agents.setdefault(entry.name, entry)
            if first is not entry:
                problems.append(
                    f"agent {entry.name} is in {first.namespace} and in {entry.namespace}: runs go to the former"
                )
        self._agents, self.problems, self.answered = agents, tuple(problems), True


def _entry(body: Object) -> AgentEntry:
    spec, status = body["spec"], body.get("status") or {}
    ready = next((c for c in status.get("conditions") or [] if c["type"] == "Ready"), None)
    why_not = None if ready is None or ready["status"] == "True" else ready.get("message") or ready.get("reason")
    return AgentEntry(
        body["metadata"]["name"],
        body["metadata"]["namespace"],
        int(status.get("readyReplicas") or 0),
        int(status.get("replicas") or 0),
        why_not,
        _defaults(spec.get("runDefaults") or {}),
        datetime.fromisoformat(created) if (created := body["metadata"].get("creationTimestamp")) else None,
        spec.get("traffic"),
        (spec.get("updateStrategy") or {}).get("threads") == "Pin",
        status.get("currentRevision"),
        tuple(status.get("revisions") or ()),
        cluster_pool(status),
    )


def _defaults(given: Object) -> dict[str, Any]:
    named = {
        "active_deadline_seconds": given.get("activeDeadlineSeconds"),
        "backoff_limit": given.get("backoffLimit"),
        "durability": given["durability"].lower() if given.get("durability") else None,
    }
    return {name: value for name, value in named.items() if value is not None}
