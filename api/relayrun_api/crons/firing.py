"""Fires crons. Every replica looks for due ones; the database lets one of them fire each, once.

```
 due ──▶ what would run ──▶ one transaction: the run is accepted and the cron's next time set ──▶ dispatched
```
A replica that dies on the way leaves the cron due, or a run that the reconciler dispatches. However many times were
missed, it fires once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import psycopg
from psycopg_pool import PoolTimeout

from relayrun_api.crons.schedules import next_fire
from relayrun_api.crons.service import CronService
from relayrun_api.http.errors import ApiError, RunnersAway
from relayrun_api.metrics import Metrics
from relayrun_api.runs.service import RunService
from relayrun_api.tasks import cancelled
from relayrun_core.database import Database
from relayrun_core.db.cron_firing import Fired, due_crons, fire_cron, seconds_until_due, skip_cron
from relayrun_core.db.crons import Cron

logger = logging.getLogger("relayrun.api.crons")

#: How long a cron that another replica accepted may go unseen, should that replica die.
_LONGEST_SLEEP_SECONDS = 10.0
#: Between two looks at what could not be fired just now.
_RETRY_SECONDS = 1.0
#: Until a cron that is beyond this version is looked at again.
_GIVEN_UP_FOR = timedelta(hours=1)
_PAGE = 100
_AT_ONCE = 4


class CronTimer:
    """Fires what is due."""

    def __init__(self, database: Database, crons: CronService, runs: RunService, metrics: Metrics) -> None:
        self._database = database
        self._crons = crons
        self._runs = runs
        self._fires = metrics.cron_fires
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Fire crons when they are due, until cancelled."""
        while True:
            self._crons.news.clear()
            try:
                seconds = 0.0 if await self.once() else await self._sleep_seconds()
            except (psycopg.Error, PoolTimeout) as error:
                logger.info("due crons are looked for again: %s", error)
                seconds = _RETRY_SECONDS
            except Exception:
                logger.exception("due crons are looked for again")
                seconds = _RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._crons.news.wait()

    async def once(self) -> int:
        """Fire the crons that are due, at most a page of them; how many were is returned."""
        due = await due_crons(self._database, _PAGE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._guarded(cron, now)) for cron, now in due]
        return sum(task.result() for task in tasks)

    async def _sleep_seconds(self) -> float:
        seconds = await seconds_until_due(self._database)
        if seconds is None:
            return _LONGEST_SLEEP_SECONDS
        return min(seconds, _LONGEST_SLEEP_SECONDS) if seconds > 0 else _RETRY_SECONDS

    async def _guarded(self, cron: Cron, now: datetime) -> bool:
        async with self._slots:
            try:
                return await self._fire(cron, now)
            except (RunnersAway, psycopg.OperationalError) as error:
                logger.info("it fires a moment later: %s", error, extra={"cron": str(cron.cron_id)})
            except Exception as error:
                # One that is beyond us must not keep the others from firing, nor the log busy.
                logger.exception("it cannot be fired", extra={"cron": str(cron.cron_id)})
                refusal = f"It could not be fired ({type(error).__name__}): tell the operator this cron's id."
                return await skip_cron(self._database, cron, now + _GIVEN_UP_FOR, refusal)
            return False

    async def _fire(self, cron: Cron, now: datetime) -> bool:
        # A clock that was set back must not make the same time come twice.
        after = max(now, cron.next_run_at or now)
        upcoming = next_fire(cron.schedule, cron.timezone, after, cron.end_time)
        if cron.end_time is not None and cron.end_time < now:
            return await skip_cron(self._database, cron, upcoming, None)
        try:
            new = await self._crons.run_of(cron)
        except RunnersAway:
            raise
        except ApiError as error:
            if done := await skip_cron(self._database, cron, upcoming, error.detail):
                self._note(cron, Fired(error.detail))
            return done
        fired = await fire_cron(self._database, cron, new, upcoming)
        if fired is None:
            return False
        if fired.refusal is None:
            await self._runs.dispatch(new)
        self._note(cron, fired)
        return True

    def _note(self, cron: Cron, fired: Fired) -> None:
        self._fires.labels("started" if fired.refusal is None else "busy" if fired.busy else "refused").inc()
        if fired.refusal is not None and fired.refusal != cron.refusal:
            logger.warning("a cron started no run: %s", fired.refusal, extra={"cron": str(cron.cron_id)})


@asynccontextmanager
async def firing(timer: CronTimer) -> AsyncIterator[None]:
    """Fire crons until the block's end."""
    task = asyncio.create_task(timer.run(), name="fire crons")
    try:
        yield
    finally:
        await cancelled(task)
