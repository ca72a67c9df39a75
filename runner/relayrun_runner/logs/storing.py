"""Stores what runs print, beside them: it holds no run up, whatever the database does."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
from psycopg_pool import PoolTimeout

from relayrun_core.database import Database, is_transient
from relayrun_core.db.run_logs import append_log
from relayrun_core.runs import Run
from relayrun_runner.logs.run_log import RunLog

logger = logging.getLogger("relayrun.runner")

# Lines gather for so long: a run that prints a few costs one commit.
_GATHER_SECONDS = 0.25
_AGAIN_SECONDS = 1.0
_STORE_SECONDS = 5.0
# What a runner that goes has in hand should go with it; a database that is away holds nothing up.
_LAST_SECONDS = 2.0


class RunLogs:
    """The logs of a runner's runs. Made and used on the graphs' loop."""

    def __init__(self, database: Database, most_bytes: int) -> None:
        """`most_bytes`: of an attempt; 0: nothing is kept."""
        self._database = database
        self._most_bytes = most_bytes
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[RunLog, None] = {}
        self._work = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def storing(cls, database: Database, most_bytes: int) -> AsyncIterator["RunLogs"]:
        """Store what comes until the block ends, and then what is left, if the database takes it."""
        logs = cls(database, most_bytes)
        task = asyncio.create_task(logs._store_on(), name="run logs")
        try:
            yield logs
        finally:
            task.cancel()
            await asyncio.wait((task,))
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    while logs._waiting and await logs._store_waiting():
                        pass

    def open(self, run: Run) -> RunLog:
        """The log of a claimed run's attempt."""
        return RunLog(run, self._most_bytes, self._wake)

    def _wake(self, log: RunLog) -> None:
        with suppress(RuntimeError):  # the loop is closed, and the process about to end
            self._loop.call_soon_threadsafe(self._note, log)

    def _note(self, log: RunLog) -> None:
        self._waiting[log] = None
        self._work.set()

    async def _store_on(self) -> None:
        while True:
            await self._work.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._work.clear()
            if not await self._store_waiting():
                await asyncio.sleep(_AGAIN_SECONDS)  # back-off between two tries
            if self._waiting:
                self._work.set()

    async def _store_waiting(self) -> bool:
        """Store what has gathered; False: the database is away."""
        for log in list(self._waiting):
            goes_on = True
            while goes_on and (batch := log.next_batch()) is not None:
                try:
                    async with asyncio.timeout(_STORE_SECONDS):
                        await append_log(self._database, batch)
                except psycopg.errors.ForeignKeyViolation:
                    log.lost()  # the run was deleted meanwhile
                except Exception as error:
                    if isinstance(error, (TimeoutError, PoolTimeout)) or is_transient(error):
                        return False
                    logger.warning("lines of a run were not stored", exc_info=error, extra=log.fields)
                    log.lost()
                else:
                    goes_on = log.stored()
            if log.rests():
                del self._waiting[log]
        return True
