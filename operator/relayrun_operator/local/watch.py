"""One runner from its start to its end: waits until it is ready, then listens to its stream, again and again.

```
  started ──/readyz──▶ not ready ⟲ ──▶ ready ──GET /runs?watch=1──▶ heard ⟲ (reconnects) ──▶ its process ends
```
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from relayrun_operator.local.runner import LocalRunner
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.transport import RunnerUnreachable
from relayrun_operator.loop.watch import handle_line, note_readiness

logger = logging.getLogger("relayrun.local")

_READY_POLL_SECONDS = 0.05
_RECONNECT_SECONDS = (0.02, 0.1, 0.5, 1.0)


async def watch_runner(
    runner: LocalRunner, cache: Cache[LocalRunner], reread: Callable[[str], None], pool_changed: Callable[[], None]
) -> None:
    """Tell the cache what the runner says, until its process has ended or this is cancelled.

    `reread` asks for the row of a run that only the runner knows; `pool_changed` is called when the runner became
    ready, or said why not.
    """
    await _wait_until_ready(runner, pool_changed)
    tries = 0
    while not runner.process.exited.done():
        opened_at = time.monotonic()
        try:
            async with runner.client.watch() as lines:
                async for line in lines:
                    tries = 0
                    handle_line(line, opened_at, runner, cache, reread, pool_changed)
        except RunnerUnreachable as error:
            logger.debug("%s", error)
        tries += 1
        with suppress(TimeoutError):
            last = len(_RECONNECT_SECONDS)
            async with asyncio.timeout(_RECONNECT_SECONDS[(last if runner.draining else min(tries, last)) - 1]):
                await asyncio.shield(runner.process.exited)


async def _wait_until_ready(runner: LocalRunner, pool_changed: Callable[[], None]) -> None:
    await runner.process.begun()
    while not runner.process.exited.done():
        readiness = await runner.client.readiness()
        if readiness is not None and readiness.ready:
            return
        if note_readiness(runner, readiness):
            pool_changed()
        await asyncio.sleep(_READY_POLL_SECONDS)  # there is nothing to wait for but its answer
