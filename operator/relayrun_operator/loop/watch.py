"""What a runner's stream says, line by line, put into the cache."""

import logging
import time
from collections.abc import Callable
from typing import Any

from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.runner import R, Runner, parse_report

logger = logging.getLogger("relayrun.loop")


def handle_line(
    line: dict[str, Any],
    opened_at: float,
    runner: Runner,
    cache: Cache[R],
    reread: Callable[[str], None],
    pool_changed: Callable[[], None],
) -> None:
    """Merge one line of a runner's stream, which was opened at `opened_at` (monotonic)."""
    runner.last_heard = time.monotonic()
    match line.get("type"):
        case "run":
            run_id, report, status = parse_report(line)
            if not cache.see_report(runner, run_id, report, status):
                reread(run_id)
        case "heartbeat":
            _hear_heartbeat(line, runner, cache)
        case "list":
            _introduce(line, runner)
            for run_id in cache.see_list(runner, map(parse_report, line["runs"]), opened_at):
                reread(run_id)
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


def _hear_heartbeat(line: dict[str, Any], runner: Runner, cache: Cache[R]) -> None:
    runner.lag_ms = float(line.get("lag_ms") or 0.0)
    draining = runner.draining or bool(line.get("draining"))
    if draining != runner.draining or runner.full:
        runner.draining, runner.full = draining, False
        runner.changed(runner.last_heard)
    cache.queue.retry_waiting()
