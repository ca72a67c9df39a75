"""The local world's ports: runners are processes of this machine, and runs are rows of the database.

A finish from outside sets attempt + 1, so no runner can write any more.
"""

from collections.abc import Iterable
from uuid import UUID

import psycopg

from relayrun_core.database import Database, is_transient
from relayrun_core.db.finish import finish_from_outside
from relayrun_core.errors import RunFinished, RunNotFound
from relayrun_core.runner_protocol import AssignAnswer
from relayrun_core.runs import Outcome
from relayrun_operator.engine import AgentView, Assign, Finish, RunView, Wait
from relayrun_operator.local.pool import LocalPool
from relayrun_operator.local.rows import RowWatch
from relayrun_operator.local.runner import LocalRunner
from relayrun_operator.loop.client import assign_request
from relayrun_operator.loop.ports import Ended
from relayrun_operator.loop.transport import NotSent


class LocalPorts:
    """See `Ports`."""

    leads = True

    def __init__(self, database: Database, rows: RowWatch, pool: LocalPool) -> None:
        self._database = database
        self._rows = rows
        self._pool = pool

    def agents(self) -> Iterable[AgentView]:
        """See `Ports`."""
        return (self._pool.agent,)

    def adjust(self, silent: frozenset[str]) -> None:
        """See `Ports`."""
        self._pool.adjust(silent)

    def end_silent(self, runner: LocalRunner) -> None:
        """See `Ports`."""
        runner.process.kill()

    def resync(self) -> None:
        """Rows are read again all the time."""

    async def assign(self, run: RunView, runner: LocalRunner, decision: Assign) -> AssignAnswer:
        """See `Ports`."""
        return await runner.client.assign(run.run_id, assign_request(run, decision))

    async def finish(self, run: RunView, decision: Finish) -> Ended | None:
        """See `Ports`."""
        try:
            await finish_from_outside(self._database, UUID(run.run_id), Outcome(decision.reason, decision.message))
        except (RunFinished, RunNotFound):
            return None
        except psycopg.Error as error:
            if not is_transient(error) and not isinstance(error, psycopg.errors.LockNotAvailable):
                raise
            raise NotSent(str(error)) from error
        return Ended(decision.reason.status, run.attempt + 1)

    def reread(self, run_id: str) -> bool:
        """See `Ports`."""
        self._rows.reread(run_id)
        return True

    def report_assign(self, run: RunView, decision: Assign) -> None:
        """The row says it once the claim has committed."""

    def report_wait(self, run: RunView, decision: Wait) -> None:
        """Nobody reads it: the row stays pending."""

    def report_loss(self, runner: LocalRunner) -> None:
        """The decider logs it."""

    def report_round(self, seconds: float) -> None:
        """There are no metrics."""
