"""The reconciler's part in local mode: what every API replica does on Kubernetes."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from relayrun_core.database import Database, is_transient
from relayrun_core.store.journal import delete_old_events
from relayrun_core.store.reconcile import reconcile

logger = logging.getLogger("relayrun.dev")

EVERY_SECONDS = 5.0
# The runners' own: RunnerSettings.cancel_grace_seconds.
CANCEL_GRACE_SECONDS = 5.0
# How long after a run's end its events can be replayed; threads and their states stay.
JOURNAL_KEPT = timedelta(days=7)


async def reconcile_forever(url: str) -> None:
    """Reconcile every few seconds, and forget old journals; a database that is away is tried again."""
    async with Database.open(url, role="world", min_size=0, max_size=1) as database:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await reconcile(database, now=datetime.now(UTC), grace_seconds=CANCEL_GRACE_SECONDS)
                await delete_old_events(database, JOURNAL_KEPT)
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.debug("reconciling waits for the database: %s", error)
