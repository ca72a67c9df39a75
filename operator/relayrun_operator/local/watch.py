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
from typing import Any

from relayrun_operator.local.errors import RunnerUnreachable
from relayrun_operator.local.memory import Memory, R
from relayrun_operator.local.runner import LocalRunner, Runner, parse_report

logger = logging.getLogger("relayrun.local")

_READY_POLL_SECONDS = 0.05
_RECONNECT_SECONDS = (0.02, 0.1, 0.5, 1.0)


async def watch_runner(
    runner: LocalRunner, memory: Memory[LocalRunner], hint: Callable[[str], None], pool_changed: Callable[[], None]
) -> None:
    """Tell the memory what the runner says, until its process has ended or this is cancelled.

    `hint` asks for the row of a run that only the runner knows; `pool_changed` is called when the runner became
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
                    hear(line, opened_at, runner, memory, hint, pool_changed)
        except RunnerUnreachable as error:
            logger.debug("%s", error)
        tries += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_RECONNECT_SECONDS[min(tries, len(_RECONNECT_SECONDS)) - 1]):
                await asyncio.shield(runner.process.exited)


async def _wait_until_ready(runner: LocalRunner, pool_changed: Callable[[], None]) -> None:
    while not runner.process.exited.done():
        readiness = await runner.client.readiness()
        if readiness is not None and readiness.ready:
            return
        troubles = readiness.troubles if readiness else ()
        if troubles != runner.troubles:
            runner.troubles = troubles
            pool_changed()
        await asyncio.sleep(_READY_POLL_SECONDS)  # there is nothing to wait for but its answer


def hear(
    line: dict[str, Any],
    opened_at: float,
    runner: Runner,
    memory: Memory[R],
    hint: Callable[[str], None],
    pool_changed: Callable[[], None],
) -> None:
    """Merge one line of a runner's stream, which was opened at `opened_at` (monotonic)."""
    runner.last_heard = time.monotonic()
    match line.get("type"):
        case "run":
            run_id, report, status = parse_report(line)
            if not memory.see_report(runner, run_id, report, status):
                hint(run_id)
        case "heartbeat":
            _hear_heartbeat(line, runner, memory)
        case "list":
            _introduce(line, runner)
            for run_id in memory.see_list(runner, map(parse_report, line["runs"]), opened_at):
                hint(run_id)
            pool_changed()
        case unknown:
            logger.debug("runner %s says %r, which means nothing here", runner.name, unknown)


def _introduce(line: dict[str, Any], runner: Runner) -> None:
    runner.holder = str(line["holder"])
    runner.slots = int(line["slots"])
    runner.graphs = frozenset(line.get("graphs", ()))
    runner.draining = runner.draining or bool(line.get("draining"))
    runner.lag_ms = float(line.get("lag_ms") or 0.0)
    runner.troubles = ()
    runner.ready = True
    runner.full = False
    runner.changed(runner.last_heard)


def _hear_heartbeat(line: dict[str, Any], runner: Runner, memory: Memory[R]) -> None:
    runner.lag_ms = float(line.get("lag_ms") or 0.0)
    draining = runner.draining or bool(line.get("draining"))
    if draining != runner.draining or runner.full:
        runner.draining, runner.full = draining, False
        runner.changed(runner.last_heard)
    memory.agenda.make_room()
