"""The reconciler's part in local mode: what every API replica does on Kubernetes."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from relayrun_core.database import Database, is_transient
from relayrun_core.db.reconcile import reconcile

logger = logging.getLogger("relayrun.dev")

EVERY_SECONDS = 5.0
# The runners' own: RunnerSettings.cancel_grace_seconds.
CANCEL_GRACE_SECONDS = 5.0


async def reconcile_forever(url: str) -> None:
    """Reconcile every few seconds; a database that is away is tried again."""
    async with Database.open(url, role="world", min_size=0, max_size=1) as database:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await reconcile(database, now=datetime.now(UTC), grace_seconds=CANCEL_GRACE_SECONDS)
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.debug("reconciling waits for the database: %s", error)
