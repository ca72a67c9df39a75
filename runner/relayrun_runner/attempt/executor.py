"""Executes claimed runs on the graphs' loop: the fenced saver below, the journal beside, the outcome at the end.

```
 start ─▶ Execution.run ─┬─ the graph returns or raises ─▶ finish ─────────▶ Finished
                         ├─ drained between two steps ───▶ release ────────▶ Drained
                         ├─ cancelled ─▶ (grace) ────────▶ finish ─────────▶ Finished, or the process ends
                         └─ the fence refused ───────────▶ nothing to say ─▶ Abandoned
```
"""

import asyncio
import logging
from uuid import UUID

from langgraph.store.base import BaseStore

from relayrun_core.database import Database
from relayrun_core.db.notify import Hints
from relayrun_core.runner_settings import RunnerSettings
from relayrun_core.runs import Run
from relayrun_core.states import CancelAction
from relayrun_runner.attempt.execution import Execution, Services
from relayrun_runner.graphs.loading import GraphRegistry
from relayrun_runner.langgraph_internals import keep_values_out_of_reprs
from relayrun_runner.logs.storing import RunLogs
from relayrun_runner.process.exits import BROKE, NODE_STUCK, end_process
from relayrun_runner.process.health import EssentialParts
from relayrun_runner.process.loops import WorkerThreads
from relayrun_runner.runs.table import RunTable

logger = logging.getLogger("relayrun.runner")


class Executor:
    """The runs of this process. Made and used on the graphs' loop."""

    def __init__(
        self,
        registry: GraphRegistry,
        database: Database,
        store: BaseStore | None,
        settings: RunnerSettings,
        table: RunTable,
        essential_parts: EssentialParts,
        logs: RunLogs,
    ) -> None:
        keep_values_out_of_reprs()
        self._workers = WorkerThreads(settings.slots)
        essential_parts.add("the pool of the nodes' threads", lambda: self._workers.closed)
        asyncio.get_running_loop().set_default_executor(self._workers)
        hints = Hints(database)
        self._hinting = asyncio.create_task(hints.run(), name="hints")
        self._services = Services(registry, database, store, table, self._workers, hints.send, logs)
        self._grace_seconds = settings.cancel_grace_seconds
        self._table = table
        self._executions: dict[tuple[UUID, int], tuple[Execution, asyncio.Task[None]]] = {}
        self._draining: str | None = None
        self._ending: asyncio.Task[None] | None = None

    def start(self, run: Run) -> None:
        """Execute a run that was claimed."""
        deadline = _deadline(run)
        execution = Execution(run, self._services, deadline)
        if self._draining is not None:
            execution.drain(self._draining)
        task = asyncio.create_task(execution.run(), name=f"run {run.run_id} attempt {run.attempt}")
        key = (run.run_id, run.attempt)
        self._executions[key] = (execution, task)
        task.add_done_callback(lambda task: self._ended(key, task))

    def cancel(self, run_id: UUID, attempt: int, action: CancelAction | None) -> None:
        """Stop a run; `action` None abandons it: it stops without touching its row."""
        found = self._executions.get((run_id, attempt))
        if found is None:
            return
        execution, task = found
        execution.stop(action)
        if action is not None:
            self._table.cancelling(run_id, attempt)
        asyncio.get_running_loop().call_later(self._grace_seconds, self._insist, execution, task)

    def drain(self, reason: str = "shutdown") -> None:
        """Let every run stop before its next step, and give it back."""
        self._draining = reason
        for execution, _ in list(self._executions.values()):
            execution.drain(reason)

    def _insist(self, execution: Execution, task: asyncio.Task[None]) -> None:
        """The grace is over: a node that still runs can only be stopped with its process."""
        if not task.done() and self._ending is None:
            self._ending = asyncio.create_task(self._end_process(execution))

    async def _end_process(self, execution: Execution) -> None:
        run_id = str(execution.claimed.run_id)
        logger.error(
            "a node ignored its cancel: ending this process, its other runs go on elsewhere", extra={"run": run_id}
        )
        try:
            async with asyncio.timeout(self._grace_seconds):
                await execution.finish_stuck()
        except Exception:
            logger.exception("the cancelled run could not be finished: the reconciler will", extra={"run": run_id})
        end_process(NODE_STUCK, "a node ignored its cancel; the other runs here go on elsewhere")

    def _ended(self, key: tuple[UUID, int], task: asyncio.Task[None]) -> None:
        del self._executions[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            # An execution ends by saying how; if it cannot, nobody would ever learn that the run stopped here.
            logger.critical("an execution broke: ending this process", exc_info=error, extra={"run": str(key[0])})
            end_process(BROKE, "an execution broke")


def _deadline(run: Run) -> float:
    """When the run must have ended, in the loop's time. The claim wrote `updated_at`: both times are the database's."""
    elapsed = (run.updated_at - (run.started_at or run.updated_at)).total_seconds()
    return asyncio.get_running_loop().time() + max(0.0, run.spec.active_deadline_seconds - elapsed)
