"""Removes what limits and idempotency keys need no more. Every replica does; it is harmless to do twice."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
from psycopg_pool import PoolTimeout

from relayrun_core.database import Database
from relayrun_core.store.starting import forget_old_starts

logger = logging.getLogger("relayrun.api.tidying")

_PERIOD_SECONDS = 600.0


@asynccontextmanager
async def tidying(database: Database, window: timedelta) -> AsyncIterator[None]:
    """Remove old rows now and then, until the block's end."""
    task = asyncio.create_task(_tidy(database, window))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _tidy(database: Database, window: timedelta) -> None:
    while True:
        # Afterwards, not at once: a process that starts has more urgent things to ask.
        await asyncio.sleep(_PERIOD_SECONDS)
        try:
            await forget_old_starts(database, window)
        except (psycopg.Error, PoolTimeout) as error:
            logger.info("old starts and keys are removed later: %s", error)
