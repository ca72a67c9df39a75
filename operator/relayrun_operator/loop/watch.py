"""What a runner's stream says, line by line, put into the cache."""

import time
from collections.abc import Callable
from typing import assert_never

from relayrun_core.runner_protocol import HeartbeatLine, Line, ListLine, RunLine
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.client import Readiness
from relayrun_operator.loop.runner import R, Runner


def handle_line(
    line: Line,
    opened_at: float,
    runner: Runner,
    cache: Cache[R],
    reread: Callable[[str], None],
    pool_changed: Callable[[], None],
) -> None:
    """Merge one line of a runner's stream, which was opened at `opened_at` (monotonic).

    `reread` is called with each run of which nothing else is known, `pool_changed` when the runner introduced itself.
    """
    runner.last_heard = time.monotonic()
    match line:
        case RunLine():
            if not cache.see_report(runner, line):
                reread(line.run_id)
        case HeartbeatLine():
            _see_heartbeat(line, runner, cache)
        case ListLine():
            _see_runner(line, runner)
            for run_id in cache.see_list(runner, line.runs, opened_at):
                reread(run_id)
            pool_changed()
        case never:
            assert_never(never)


def note_readiness(runner: Runner, readiness: Readiness | None) -> bool:
    """Remember what stands in the way of a runner that is not ready; whether that has changed."""
    before = runner.troubles, runner.waits_for
    runner.troubles, runner.waits_for = (readiness.troubles, readiness.waits_for) if readiness else ((), ())
    return before != (runner.troubles, runner.waits_for)


def _see_runner(line: ListLine, runner: Runner) -> None:
    runner.holder = line.holder
    runner.slots = line.slots
    runner.graphs = frozenset(line.graphs)
    runner.draining = runner.draining or line.draining
    runner.lag_ms = line.lag_ms
    runner.troubles = runner.waits_for = ()
    runner.ready = True
    runner.full = False
    runner.changed(runner.last_heard)


def _see_heartbeat(line: HeartbeatLine, runner: Runner, cache: Cache[R]) -> None:
    runner.lag_ms = line.lag_ms
    draining = runner.draining or line.draining
    if draining != runner.draining or runner.full:
        runner.draining, runner.full = draining, False
        runner.changed(runner.last_heard)
    cache.queue.retry_waiting()
