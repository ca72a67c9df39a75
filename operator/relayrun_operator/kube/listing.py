"""Lists all objects when a leader starts, and again periodically, in case watches missed something."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from relayrun_operator.kube import names
from relayrun_operator.kube.agentruns import AgentRuns
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.observer import Observer, by_creation
from relayrun_operator.kube.records import AgentRecord
from relayrun_operator.kube.runner import PodRunner, key_of
from relayrun_operator.loop.cache import Cache

logger = logging.getLogger("relayrun.kube")

#: What watches missed (a deletion while a connection was down) is found by listing names, this often.
_RELIST_SECONDS = 60.0


class Lister:
    """Tells the observer what lists say."""

    def __init__(
        self,
        client: KubeClient,
        namespaces: Sequence[str],
        cache: Cache[PodRunner],
        agentruns: AgentRuns,
        agents: Mapping[str, AgentRecord],
        observer: Observer,
    ) -> None:
        self._client = client
        self._namespaces = namespaces
        self._cache = cache
        self._agentruns = agentruns
        self._agents = agents
        self._observer = observer

    async def list_all(self) -> None:
        """See all that there is, before anything is decided."""
        for namespace in self._namespaces:
            _tell(self._observer.see_agent, await self._list(names.agents_path(namespace)))
            _tell(self._observer.see_revision, await self._revisions(namespace))
            _tell(self._observer.see_run, by_creation(await self._list(names.runs_path(namespace))))
            _tell(self._observer.see_pod, await self._list(names.core_path(namespace, "pods"), names.SELECTOR))

    async def relist_forever(self) -> None:
        """Find what watches missed."""
        while True:
            await asyncio.sleep(_RELIST_SECONDS)  # slow on purpose: watches tell almost everything
            for namespace in self._namespaces:
                try:
                    await self._relist(namespace)
                except KubeError as error:
                    logger.warning("the slow look at %s failed: %s", namespace, error)

    async def _list(self, path: str, selector: str = "") -> list[dict[str, Any]]:
        """A list that has to succeed: kinds may not be there yet, the API server may be away."""
        said = ""
        while True:
            try:
                return await self._client.list(path, {"labelSelector": selector} if selector else None)
            except KubeError as error:
                if str(error) != said:
                    logger.warning("%s cannot be listed yet: %s", path, error)
                said = str(error)
                await asyncio.sleep(1.0)  # back-off between two tries

    async def _revisions(self, namespace: str) -> list[dict[str, Any]]:
        try:
            return await self._client.list(names.revision_path(namespace), {"labelSelector": names.MANAGED})
        except KubeError as error:
            logger.warning("the revisions of Agents are not known, open threads may migrate: %s", error)
            return []

    async def _relist(self, namespace: str) -> None:
        began = time.monotonic()
        there = await self._client.list_names(names.runs_path(namespace))
        for record in list(self._agentruns.by_key.values()):
            if record.namespace == namespace and record.seen_at < began and there.get(record.name) != record.uid:
                logger.info("AgentRun %s was deleted while nobody listened", record.key)
                self._observer.lose_run(record)
        pods = await self._client.list(names.core_path(namespace, "pods"), {"labelSelector": names.SELECTOR})
        uids = {key_of(pod): pod["metadata"]["uid"] for pod in pods}
        for runner in list(self._cache.runners.values()):
            if runner.namespace == namespace and runner.started_at < began and uids.get(runner.name) != runner.uid:
                self._observer.lose_pod(runner.name)
        _tell(self._observer.see_pod, pods)
        agents = await self._client.list(names.agents_path(namespace))
        known = {f"{agent['metadata']['namespace']}/{agent['metadata']['name']}" for agent in agents}
        for agent in list(self._agents.values()):
            if agent.namespace == namespace and agent.key not in known:
                self._observer.lose_agent(agent.body)
        _tell(self._observer.see_agent, agents)


def _tell(see: Callable[[dict[str, Any]], None], bodies: Iterable[dict[str, Any]]) -> None:
    for body in bodies:
        try:
            see(body)
        except Exception:  # one object must not keep the operator from all others
            logger.exception("%s could not be taken in", body.get("metadata", {}).get("name"))
