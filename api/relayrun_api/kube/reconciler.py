"""The reconciler: every replica repairs unfinished runs whose row and AgentRun disagree."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg_pool import PoolTimeout

from relayrun_api.kube.agents import AgentDirectory
from relayrun_api.kube.client import Kube, KubeRefused
from relayrun_api.kube.dispatch import KubeDispatcher
from relayrun_api.kube.objects import operators_outcome
from relayrun_core.database import Database
from relayrun_core.db.finish import finish_from_outside
from relayrun_core.db.reconcile import Dispatch, ObjectView, Repair, decide, due, mark_seen
from relayrun_core.errors import RunFinished, RunNotFound
from relayrun_core.kinds.names import api_run
from relayrun_core.runs import Outcome
from relayrun_core.states import Reason

logger = logging.getLogger("relayrun.api.reconciler")

_PERIOD_SECONDS = 1.0
_PAGE = 64
_AT_ONCE = 8
_GRACE = timedelta(seconds=5)

_CANCELLED = Outcome(Reason.CANCELLED, "the run was cancelled")


class Reconciler:
    """Repairs one run at a time, as `relayrun_core.db.reconcile.decide` says."""

    def __init__(self, database: Database, kube: Kube, agents: AgentDirectory, dispatcher: KubeDispatcher) -> None:
        self._database = database
        self._kube = kube
        self._agents = agents
        self._dispatcher = dispatcher
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Look at what is due, until cancelled."""
        while True:
            full = False
            try:
                full = await self.once() == _PAGE
            except (psycopg.Error, PoolTimeout) as error:
                logger.warning("the database does not answer: %s", error)
            if not full:
                await asyncio.sleep(_PERIOD_SECONDS)

    async def once(self) -> int:
        """Look at the runs that are due, at most a page of them; how many there were is returned."""
        entries = await due(self._database, _PAGE)
        async with asyncio.TaskGroup() as group:
            for entry in entries:
                group.create_task(self._guarded(entry))
        return len(entries)

    async def _guarded(self, entry: Dispatch) -> None:
        async with self._slots:
            try:
                await self._look(entry)
            except (KubeRefused, psycopg.Error, PoolTimeout) as error:
                logger.warning("looked at again later: %s", error, extra={"run": str(entry.run.run_id)})

    async def _look(self, entry: Dispatch) -> None:
        run, now = entry.run, datetime.now(UTC)
        # A run that came with an AgentRun had one from its first moment.
        dispatched = entry.dispatched_at is not None or entry.object is not None
        if decide(run, None, dispatched=dispatched, now=now, grace=_GRACE) is Repair.FINISH_CANCELLED:
            await self._finish(entry, _CANCELLED)  # also while the API server is away
            return
        own = entry.object
        namespace = own.namespace if own else await self._agents.namespace_of(run.agent)
        found = await self._kube.run(namespace, own.name if own else api_run(run.run_id))
        if found is not None and own is not None and found["metadata"]["uid"] != own.uid:
            found = None  # another one by the same name
        outcome = operators_outcome(found) if found else None
        # Read after the object was missed: a cluster that was rebuilt before that is not taken for this one.
        cluster = await self._dispatcher.cluster(namespace, now=found is None)
        seen = ObjectView(
            exists=found is not None,
            finished_by_operator=outcome is not None,
            cluster_changed=entry.cluster is not None and entry.cluster != cluster,
        )
        repair = decide(run, seen, dispatched=dispatched, now=now, grace=_GRACE)
        if repair is not Repair.NOTHING:
            logger.info("%s", repair.value, extra={"run": str(run.run_id)})
        match repair:
            case Repair.CREATE_OBJECT:
                await self._dispatcher.create(run)
            case Repair.FINISH_CANCELLED:
                await self._finish(entry, _CANCELLED)
            case Repair.COPY_OUTCOME if outcome is not None:
                await self._finish(entry, outcome)
            case Repair.CANCEL_OBJECT:
                await self._dispatcher.cancel(run)
            case _ if found is not None and entry.cluster != cluster:
                await mark_seen(self._database, run.run_id, cluster)

    async def _finish(self, entry: Dispatch, outcome: Outcome) -> None:
        with suppress(RunFinished, RunNotFound):
            await finish_from_outside(self._database, entry.run.run_id, outcome)
