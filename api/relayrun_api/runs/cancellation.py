"""Cancels of runs, on behalf of a caller."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from relayrun_api.auth import Principal
from relayrun_api.runners.dispatch import Dispatcher
from relayrun_api.runs.service import sees_run
from relayrun_api.threads.service import ThreadRef
from relayrun_core import errors as core
from relayrun_core.database import Database
from relayrun_core.db.finish import finish_from_outside
from relayrun_core.db.notify import notify
from relayrun_core.db.reconcile import object_of
from relayrun_core.db.runs import delete_run, get_runs, request_cancel, unfinished_run_ids
from relayrun_core.db.threads import DeletedRun
from relayrun_core.runs import Outcome, Run
from relayrun_core.states import CancelAction, Reason, RunStatus

_CANCELS_AT_ONCE = 4
_DELETED = Outcome(Reason.CANCELLED, "the run was deleted")


class CancelService:
    """Cancels runs."""

    def __init__(self, database: Database, dispatcher: Dispatcher) -> None:
        self._database = database
        self._dispatcher = dispatcher

    async def cancel(self, run: Run, action: CancelAction) -> None:
        """Accept a cancel; asking again changes nothing. Raises core's RunFinished."""
        await self._cancel(run.run_id, action)

    async def delete(self, run: Run) -> None:
        """Undo the run if it has not ended, whatever its runner does, and forget it."""
        if run.status.finished:
            await delete_run(self._database, run.run_id)
            return
        with suppress(core.RunFinished, core.RunNotFound):
            await request_cancel(self._database, run.run_id, CancelAction.ROLLBACK)
        with suppress(core.RunFinished, core.RunNotFound):
            await finish_from_outside(self._database, run.run_id, _DELETED)
        own = await object_of(self._database, run.run_id)
        await delete_run(self._database, run.run_id)
        await self._dispatcher.deleted(DeletedRun(run.run_id, run.agent, own))
        await notify(self._database, run.run_id)

    async def cancel_named(
        self, principal: Principal, thread: ThreadRef, run_ids: Sequence[UUID], action: CancelAction
    ) -> int:
        """Cancel those of the thread's runs that have not ended; how many is returned."""
        found = await get_runs(self._database, list(dict.fromkeys(run_ids)))
        unfinished = [run for run in found if run.thread_id == thread.thread_id and not run.status.finished]
        theirs = [run.run_id for run in unfinished if await sees_run(self._database, principal, run)]
        return await self._cancel_all(theirs, action)

    async def cancel_of_status(self, principal: Principal, statuses: Sequence[RunStatus], action: CancelAction) -> int:
        """Cancel the caller's runs of these states, an admin's everybody's; how many is returned."""
        cancelled, after = 0, 0
        scope = principal.scope("threads")
        while True:
            page = await unfinished_run_ids(
                self._database,
                list(statuses),
                owner=scope.owner,
                any_owner=scope.any_owner,
                visible=scope.visible,
                after_seq=after,
            )
            if not page:
                return cancelled
            after = page[-1][0]
            cancelled += await self._cancel_all([run_id for _, run_id in page], action)

    async def _cancel_all(self, run_ids: Sequence[UUID], action: CancelAction) -> int:
        slots = asyncio.Semaphore(_CANCELS_AT_ONCE)

        async def cancel(run_id: UUID) -> bool:
            async with slots:
                try:
                    await self._cancel(run_id, action)
                except (core.RunFinished, core.RunNotFound):
                    return False
                return True

        return sum(await asyncio.gather(*map(cancel, run_ids)))

    async def _cancel(self, run_id: UUID, action: CancelAction) -> None:
        await request_cancel(self._database, run_id, action)
        await self._dispatcher.cancel_requested(run_id)
