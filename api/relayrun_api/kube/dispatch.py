"""Creates the AgentRun of each accepted run, while the answer is sent. The reconciler repeats what fails."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from relayrun_api.kube.agents import AgentDirectory
from relayrun_api.kube.client import Kube, KubeRefused
from relayrun_api.kube.objects import agentrun
from relayrun_core.database import Database
from relayrun_core.db.reconcile import cancelling_runs, mark_dispatched, mark_refused, object_of
from relayrun_core.db.runs import get_run
from relayrun_core.db.threads import DeletedRun
from relayrun_core.kinds.names import api_run
from relayrun_core.runs import NewRun, Run
from relayrun_core.states import CancelAction

logger = logging.getLogger("relayrun.api.dispatch")

_AT_ONCE = 32
_LAST_SECONDS = 5.0
#: Nothing is decided upon this, only noted: a rebuilt cluster takes longer.
_CLUSTER_SECONDS = 30.0
_CANCELS_OTHERS = ("interrupt", "rollback")


class KubeDispatcher:
    """Makes and deletes AgentRuns."""

    def __init__(self, kube: Kube, agents: AgentDirectory, database: Database) -> None:
        self._kube = kube
        self._agents = agents
        self._database = database
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._clusters: dict[str, tuple[float, str]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, kube: Kube, agents: AgentDirectory, database: Database) -> AsyncIterator["KubeDispatcher"]:
        """A dispatcher that finishes what it has begun before it goes."""
        dispatcher = cls(kube, agents, database)
        try:
            yield dispatcher
        finally:
            if dispatcher._tasks:
                await asyncio.wait(dispatcher._tasks, timeout=_LAST_SECONDS)

    async def defaults(self, agent: str) -> dict[str, Any]:
        """What the Agent gives to runs that say nothing themselves, as fields of a RunSpec."""
        found = await self._agents.find(agent)
        return found.defaults if found else {}

    async def created(self, run: NewRun | Run) -> None:
        """Make the AgentRun, and cancel what the run displaces."""
        self._begin(self._create_and_displace(run), run.run_id)

    async def cancel_requested(self, run_id: UUID) -> None:
        """Tell the AgentRun."""
        self._begin(self._cancel_one(run_id), run_id)

    async def create(self, run: Run | NewRun) -> None:
        """Make the AgentRun now. Raises KubeRefused after the refusal has been noted."""
        namespace = await self._agents.namespace_of(run.agent)
        try:
            await self._kube.create_run(namespace, agentrun(run, namespace))
            cluster = await self.cluster(namespace)
        except KubeRefused as refused:
            await mark_refused(self._database, run.run_id, str(refused))
            raise
        await mark_dispatched(self._database, run.run_id, cluster)

    async def cancel(self, run: Run) -> None:
        """Tell the run's AgentRun: ours is deleted; a person's own is told and kept. Raises KubeRefused."""
        own = await object_of(self._database, run.run_id)
        if own is None:
            await self._kube.delete_run(await self._agents.namespace_of(run.agent), api_run(run.run_id))
            return
        action = run.cancel_action or CancelAction.INTERRUPT
        await self._kube.patch_run(own.namespace, own.name, {"cancel": action.value.capitalize()})

    async def deleted(self, run: DeletedRun) -> None:
        """Delete the run's AgentRun, a person's own too. One that stays is refused where it is given to a runner."""
        own = run.object
        try:
            if own is not None:
                await self._kube.delete_run(own.namespace, own.name, own.uid)
            else:
                await self._kube.delete_run(await self._agents.namespace_of(run.agent), api_run(run.run_id))
        except KubeRefused as error:
            logger.warning("the AgentRun of a deleted run stays: %s", error, extra={"run": str(run.run_id)})

    async def cluster(self, namespace: str, *, now: bool = False) -> str:
        """Which cluster this is; from a moment ago unless `now`. Raises KubeRefused."""
        at, known = self._clusters.get(namespace, (0.0, ""))
        if now or not known or time.monotonic() - at > _CLUSTER_SECONDS:
            known = await self._kube.cluster(namespace)
            self._clusters[namespace] = (time.monotonic(), known)
        return known

    async def _create_and_displace(self, run: NewRun | Run) -> None:
        agent = await self._agents.find(run.agent)
        if agent is not None and agent.pins:
            run = await get_run(self._database, run.run_id) or run  # which says where its open thread is
        await self.create(run)
        if run.spec.multitask_strategy in _CANCELS_OTHERS:
            for other in await cancelling_runs(self._database, run.thread_id):
                await self._cancel_one(other)

    async def _cancel_one(self, run_id: UUID) -> None:
        run = await get_run(self._database, run_id)
        if run is not None:
            await self.cancel(run)

    def _begin(self, work: Coroutine[Any, Any, None], run_id: UUID) -> None:
        task = asyncio.create_task(self._do(work, run_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, work: Coroutine[Any, Any, None], run_id: UUID) -> None:
        async with self._slots:
            try:
                await work
            except (KubeRefused, psycopg.Error, PoolTimeout) as error:
                logger.warning("left to the reconciler: %s", error, extra={"run": str(run_id)})
