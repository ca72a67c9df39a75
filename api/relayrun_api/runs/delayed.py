"""Starts delayed runs at their time. Every replica does; the database ensures that each starts once.

A replica that dies on the way leaves the run delayed, or lined up: then who places runs finds it as any other.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from relayrun_api.runners.dispatch import Dispatcher
from relayrun_api.tasks import cancelled
from relayrun_core.database import Database
from relayrun_core.db.runs import get_run
from relayrun_core.db.starting import LinedUp, due_later, line_up

logger = logging.getLogger("relayrun.api.later")

#: How often it is looked for, and how far ahead: what is due within this is waited for to the moment.
_PERIOD_SECONDS = 1.0
_PAGE = 100


class DelayedRuns:
    """Lines up delayed runs."""

    def __init__(self, database: Database, dispatcher: Dispatcher) -> None:
        self._database = database
        self._dispatcher = dispatcher

    async def run(self) -> None:
        """Start what is due, until cancelled."""
        while True:
            try:
                wait_seconds = await self.once()
            except (psycopg.Error, PoolTimeout) as error:
                logger.info("delayed runs are looked for again: %s", error)
                wait_seconds = _PERIOD_SECONDS
            except Exception:
                logger.exception("delayed runs are looked for again")
                wait_seconds = _PERIOD_SECONDS
            await asyncio.sleep(wait_seconds)

    async def once(self) -> float:
        """Start what is due; returned is in how many seconds there is more, as far as known."""
        soon = await due_later(self._database, _PERIOD_SECONDS, _PAGE)
        waits = [seconds for _, seconds in soon if seconds > 0]
        # One after the other: those of one thread start in the order of their times.
        for run_id, seconds in soon:
            if seconds <= 0:
                await self._guarded(run_id)
        if len(soon) == _PAGE and not waits:
            return 0.0
        return min(waits, default=_PERIOD_SECONDS)

    async def _guarded(self, run_id: UUID) -> None:
        try:
            await self._start(run_id)
        except (psycopg.OperationalError, PoolTimeout):
            raise
        except Exception:
            # One that is beyond us must not hold up those behind it.
            logger.exception("a delayed run cannot be started", extra={"run": str(run_id)})

    async def _start(self, run_id: UUID) -> None:
        if await line_up(self._database, run_id) is not LinedUp.LINED_UP:
            return
        logger.info("a delayed run starts", extra={"run": str(run_id)})
        run = await get_run(self._database, run_id)
        if run is not None:
            await self._dispatcher.created(run)


@asynccontextmanager
async def starting_later(database: Database, dispatcher: Dispatcher) -> AsyncIterator[None]:
    """Start delayed runs until the block's end."""
    task = asyncio.create_task(DelayedRuns(database, dispatcher).run(), name="start delayed runs")
    try:
        yield
    finally:
        await cancelled(task)
