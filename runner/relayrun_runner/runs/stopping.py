"""Stops a run that executes here, also when a blocked event loop does not handle the cancel."""

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

import psycopg

from relayrun_core.database import Database
from relayrun_core.db.finish import finish
from relayrun_core.errors import RelayrunError
from relayrun_core.runs import Outcome
from relayrun_core.states import CancelAction, Reason
from relayrun_runner.process.exits import NODE_STUCK, end_process
from relayrun_runner.process.graphs_loop import GraphsLoop
from relayrun_runner.runs.entries import Entry
from relayrun_runner.runs.table import RunTable

log = logging.getLogger("relayrun.runner")


class Stopper:
    """Stops runs. Lives on the protocol's loop; `tasks` owns what waits for the grace."""

    def __init__(
        self,
        database: Database,
        table: RunTable,
        graphs_loop: GraphsLoop,
        tasks: asyncio.TaskGroup,
        grace_seconds: float,
        end: Callable[[int, str], NoReturn] = end_process,
    ) -> None:
        self._database = database
        self._table = table
        self._graphs_loop = graphs_loop
        self._tasks = tasks
        self._grace = grace_seconds
        self._end = end

    def stop(self, entry: Entry, action: CancelAction | None) -> None:
        """Tell a run to stop; `action` None abandons it."""
        self._table.cancelling(entry.run_id, entry.attempt)
        self._tasks.create_task(self._stop_or_end(entry, action))

    async def _stop_or_end(self, entry: Entry, action: CancelAction | None) -> None:
        """Hand the cancel to the executor; if author code blocks its loop beyond the grace, end the process.

        The executor itself deals with a node that hears the cancel and ignores it.
        """
        try:
            async with asyncio.timeout(self._grace):
                await self._graphs_loop.cancel(entry.run_id, entry.attempt, action)
        except TimeoutError:
            if action is not None:
                await self._finish_cancelled(entry)
            self._end(NODE_STUCK, f"a node of {entry.graph} blocks the event loop and its run was cancelled")

    async def _finish_cancelled(self, entry: Entry) -> None:
        outcome = Outcome(Reason.CANCELLED, "the run was cancelled; its node did not stop, so its process was ended")
        try:
            await finish(self._database, entry.run_id, entry.attempt, outcome)
        except (psycopg.Error, RelayrunError) as error:
            # The reconciler finishes what stays open.
            log.warning("the cancelled run could not be finished here: %s", error, extra={"run": str(entry.run_id)})
