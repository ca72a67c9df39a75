"""Carries out decisions on this machine: runners are asked, and rows finished from outside by SQL.

A finish from outside sets attempt + 1, so no runner can write any more.
"""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

import psycopg

from relayrun_core.database import Database, is_transient
from relayrun_core.db.finish import finish_from_outside
from relayrun_core.errors import RunFinished, RunNotFound
from relayrun_core.runs import Outcome
from relayrun_operator.engine import Finish, RunView
from relayrun_operator.local.runner import LocalRunner
from relayrun_operator.world.calls import LATER_SECONDS, RunnerCalls
from relayrun_operator.world.memory import Memory

logger = logging.getLogger("relayrun.local")


class Applier(RunnerCalls[LocalRunner]):
    """Carries out decisions on runners and rows. `hint` asks for a run's row to be read."""

    def __init__(
        self, tasks: asyncio.TaskGroup, database: Database, memory: Memory[LocalRunner], hint: Callable[[str], None]
    ) -> None:
        super().__init__(tasks, memory, hint)
        self._database = database

    async def _finish(self, run: RunView, decision: Finish) -> None:
        try:
            await finish_from_outside(self._database, UUID(run.run_id), Outcome(decision.reason, decision.message))
        except (RunFinished, RunNotFound):
            self._memory.agenda.finishing.discard(run.run_id)
            self._hint(run.run_id)
        except psycopg.Error as error:
            if not is_transient(error) and not isinstance(error, psycopg.errors.LockNotAvailable):
                raise
            logger.warning("the run could not be finished yet: %s", error, extra={"run": run.run_id})
            asyncio.get_running_loop().call_later(LATER_SECONDS, self._finish_again, run.run_id)
        else:
            self._memory.end(run.run_id, decision.reason.status, run.attempt + 1)
