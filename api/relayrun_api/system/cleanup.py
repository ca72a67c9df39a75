"""Deletes what has expired: starts and idempotency keys, threads, journals, graphs of old builds.

Every replica does, in local mode and in a cluster; it is harmless to do twice.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from relayrun_api.metrics import Metrics
from relayrun_api.settings import ApiSettings
from relayrun_api.system.audit import audit_keys
from relayrun_api.tasks import cancelled
from relayrun_core.database import Database, is_transient
from relayrun_core.db.identities import forget_identities
from relayrun_core.db.retention import Keep, forget_deleted_runs, forget_old_builds, forget_old_events, sweep_threads
from relayrun_core.db.starting import forget_old_starts

logger = logging.getLogger("relayrun.api.tidying")

_PERIOD_SECONDS = 600.0
_JOURNAL_SECONDS = 60.0
_KEYS_SECONDS = 30.0
# Longer than any rollout, whose old runners may come back.
_BUILDS_KEPT = timedelta(days=7)
# Longer than any operator holds on to an AgentRun that is gone.
_DELETED_KEPT = timedelta(days=7)
# A manifest lies in Git for long, and AgentRuns with generated names would be remembered for ever.
_IDENTITIES_KEPT = timedelta(days=365)


@asynccontextmanager
async def tidying(database: Database, settings: ApiSettings, metrics: Metrics) -> AsyncIterator[None]:
    """Remove old rows now and then, until the block's end."""
    keep = Keep(temporary=settings.stateless_keep, unused=settings.thread_ttl)

    async def starts() -> None:
        await forget_old_starts(database, settings.rate_limit_window)
        await forget_old_builds(database, _BUILDS_KEPT)
        await forget_deleted_runs(database, _DELETED_KEPT)
        await forget_identities(database, _IDENTITIES_KEPT)

    async def journals() -> None:
        if settings.journal_keep is None:
            return
        if events := await forget_old_events(database, settings.journal_keep):
            metrics.events_forgotten.inc(events)
            logger.info("%s events of runs that ended long ago were removed", events)

    async def threads() -> None:
        if swept := await sweep_threads(database, keep):
            logger.info("the time of %s threads was over", swept)

    async def keys() -> None:
        if settings.logs_audit and "api-key" in settings.auth_kinds:
            await audit_keys(database)

    tasks = [
        asyncio.create_task(_now_and_then(_KEYS_SECONDS, keys), name="audit keys"),
        asyncio.create_task(_now_and_then(_PERIOD_SECONDS, starts), name="forget old starts"),
        asyncio.create_task(_now_and_then(settings.thread_sweep_seconds, threads), name="sweep threads"),
        asyncio.create_task(_now_and_then(_JOURNAL_SECONDS, journals), name="forget old events"),
    ]
    try:
        yield
    finally:
        await cancelled(*tasks)


async def _now_and_then(seconds: float, tidy: Callable[[], Awaitable[None]]) -> None:
    while True:
        # Afterwards, not at once: a process that starts has more urgent things to ask.
        await asyncio.sleep(seconds)
        try:
            await tidy()
        except Exception as error:
            logger.warning("old rows are removed later: %s", error, exc_info=not is_transient(error))
