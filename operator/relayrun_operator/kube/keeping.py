"""Keeps revisions as ControllerRevisions: writes what changed, deletes what no thread needs any more."""

import asyncio
import logging
import time
from collections.abc import Iterable

from relayrun_operator.kube import names
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError
from relayrun_operator.kube.lease import Lease
from relayrun_operator.kube.records import AgentRecord
from relayrun_operator.kube.revisions import Revision, annotations_of, controller_revision, object_name, superfluous

logger = logging.getLogger("relayrun.kube")

_RETRY_SECONDS = 10.0


class RevisionKeeper:
    """Writes the revisions of Agents, one Agent's at a time."""

    def __init__(self, client: KubeClient, lease: Lease, tasks: asyncio.TaskGroup) -> None:
        self._client = client
        self._lease = lease
        self._tasks = tasks
        self._not_before: dict[str, float] = {}

    def keep(self, agents: Iterable[AgentRecord]) -> None:
        """Begin to write what has changed."""
        now = time.time()
        for agent in agents:
            old = superfluous(agent.revisions.values(), agent.spec.update_strategy, now)
            if (agent.unwritten or old) and time.monotonic() >= self._not_before.get(agent.key, 0.0):
                self._not_before[agent.key] = float("inf")
                self._tasks.create_task(self._write(agent, old), name=f"revisions of {agent.key}")

    async def _write(self, agent: AgentRecord, old: list[Revision]) -> None:
        pause = 0.0
        try:
            self._lease.check()
            for name in sorted(agent.unwritten):
                revision = agent.revisions[name]
                await self._put(agent, revision)
                agent.wrote(revision)
            for revision in old:
                path = names.revision_path(agent.namespace, object_name(agent.name, revision.name))
                await self._client.delete(path)
                agent.revisions.pop(revision.name, None)
        except KubeError as error:
            logger.warning("the revisions of Agent %s are not written: %s", agent.key, error)
            pause = _RETRY_SECONDS
        finally:
            self._not_before[agent.key] = time.monotonic() + pause

    async def _put(self, agent: AgentRecord, revision: Revision) -> None:
        if not revision.kept:
            try:
                await self._client.create(
                    names.revision_path(agent.namespace), controller_revision(agent.body, revision)
                )
            except KubeError as error:
                if not error.conflict:
                    raise
            else:
                return
        path = names.revision_path(agent.namespace, object_name(agent.name, revision.name))
        await self._client.patch(path, {"metadata": {"annotations": annotations_of(revision)}})
