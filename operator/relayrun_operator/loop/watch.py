"""Watches one runner from its start to its end: waits until it is ready, then follows its stream into the cache.

```
  started ──/readyz──▶ not ready ⟲ ──▶ ready ──GET /runs?watch=1──▶ heard ⟲ (reconnects) ──▶ its process has ended
                           ▲                                         │
                           └───────── another process in its pod ──── down
```

Down: nobody listens at the address any more, or another process does. A pod's first process forks the next runner, and
the pod keeps its address. That runner is watched in the same way, and has none of the runs of the one before.
"""

import asyncio
import errno
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar, assert_never

from relayrun_core.runner_protocol import HeartbeatLine, Line, ListLine, RunLine, RunReport
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.client import Readiness
from relayrun_operator.loop.runner import R, Runner
from relayrun_operator.loop.transport import RunnerUnreachable, TokenRefused

logger = logging.getLogger("relayrun.operator")

R_contra = TypeVar("R_contra", bound=Runner, contravariant=True)

#: How soon a starting runner is asked again, and a process of ours that does not listen yet.
_READY_POLL_SECONDS = 0.05
_LISTENING_POLL_SECONDS = 0.01
_LONGEST_READY_POLL_SECONDS = 1.0
#: A runner that refuses our token is alive, and the kubelet brings it a new one. After this long it counts as silent.
_REFUSAL_SECONDS = 120.0
_RECONNECT_SECONDS = (0.02, 0.05, 0.2, 0.5, 1.0)
# One refused connection is not enough: the listener's queue may be full for a moment.
_REFUSED_UNTIL_DOWN = 2


class Listener(Protocol[R_contra]):
    """Is called with what runners say."""

    def on_report(self, runner: R_contra, reported: RunReport) -> None:
        """The runner reports a run. Called before the cache changes."""

    def on_unknown(self, runner: R_contra, run_id: str) -> None:
        """The runner executes a run that the cache does not know."""

    def on_deaths(self, runner: R_contra, deaths: Mapping[str, int]) -> None:
        """How the processes before this one in its pod ended, by reason."""

    def on_runner(self, runner: R_contra) -> None:
        """The runner became ready, or down, or said why it is not ready."""


async def watch_runner(
    runner: R, cache: Cache[R], listener: Listener[R], exited: asyncio.Future[int] | None = None
) -> None:
    """Put into the cache what the runner says, until its process has ended or this is cancelled.

    `exited` is done once the process has ended for good. None: the runner is a pod, whose next process is watched too.
    """
    while exited is None or not exited.done():
        if await _wait_until_ready(runner, listener, exited):
            await _follow(runner, cache, listener, exited)


def _note_refusal(runner: R, error: TokenRefused, listener: Listener[R]) -> None:
    now = time.monotonic()
    if runner.refused_since is None:
        logger.warning("%s", error)
        runner.refused_since, runner.full = now, True
        runner.changed(now)
        listener.on_runner(runner)
    if now - runner.refused_since < _REFUSAL_SECONDS:
        runner.last_heard = now


def lose_process(runner: Runner, cache: Cache[Any]) -> None:
    """Forget a process that has ended. Its pod may start another one, which has none of the runs."""
    now = time.monotonic()
    runner.was_ready, runner.unready_since = runner.was_ready or runner.ready, now
    runner.down, runner.gone, runner.ready, runner.serving, runner.holder = True, True, False, False, None
    cache.requeue_runner(runner.name)
    runner.reports.clear()
    runner.accepted_at.clear()
    runner.client.close()
    runner.changed(now)


async def _wait_until_ready(runner: R, listener: Listener[R], exited: asyncio.Future[int] | None) -> bool:
    pause = _READY_POLL_SECONDS
    while exited is None or not exited.done():
        readiness = await runner.client.readiness()
        # A draining pod is never ready again, and may still execute runs that a new leader has to know.
        if readiness is not None and (readiness.ready or (exited is None and runner.draining)):
            return True
        if _note_readiness(runner, readiness):
            listener.on_runner(runner)
        # There is nothing to wait for but its answer.
        await asyncio.sleep(_LISTENING_POLL_SECONDS if readiness is None and exited is not None else pause)
        if exited is None:
            pause = min(_LONGEST_READY_POLL_SECONDS, pause * 1.2)
    return False


async def _follow(runner: R, cache: Cache[R], listener: Listener[R], exited: asyncio.Future[int] | None) -> None:
    """Follow the runner's stream until its process has ended."""
    refused = tries = 0
    while refused < _REFUSED_UNTIL_DOWN if exited is None else not exited.done():
        opened_at = time.monotonic()
        try:
            async with runner.client.watch() as lines:
                async for line in lines:
                    refused = tries = 0
                    if exited is None and _is_of_another_process(line, runner):
                        refused = _REFUSED_UNTIL_DOWN
                        break
                    handle_line(line, opened_at, runner, cache, listener)
                    if runner.client.refused:
                        break  # another call was: opening the stream again shows whether it would be too
        except TokenRefused as error:
            _note_refusal(runner, error, listener)
        except RunnerUnreachable as error:
            logger.debug("%s", error)
            # The node answers and nobody listens there: the process has died.
            refused += getattr(error.__cause__, "errno", None) == errno.ECONNREFUSED
        tries += 1
        await _pause(runner, exited, tries)
    if exited is None:
        level = logging.INFO if runner.draining else logging.WARNING
        logger.log(level, "runner %s: its process has ended", runner.name)
        lose_process(runner, cache)
        listener.on_runner(runner)


async def _pause(runner: Runner, exited: asyncio.Future[int] | None, tries: int) -> None:
    last = len(_RECONNECT_SECONDS)
    if exited is None:
        await asyncio.sleep(_RECONNECT_SECONDS[min(tries, last) - 1])  # back-off
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_RECONNECT_SECONDS[(last if runner.draining else min(tries, last)) - 1]):
            await asyncio.shield(exited)


def _is_of_another_process(line: Line, runner: Runner) -> bool:
    # It may have had no time to load its graphs: the list alone does not make it ready.
    return isinstance(line, ListLine) and runner.holder not in (None, line.holder)


def handle_line(line: Line, opened_at: float, runner: R, cache: Cache[R], listener: Listener[R]) -> None:
    """Merge one line of a runner's stream, which was opened at `opened_at` (monotonic), into the cache."""
    runner.last_heard = time.monotonic()
    match line:
        case RunLine():
            listener.on_report(runner, line)
            if not cache.see_report(runner, line):
                listener.on_unknown(runner, line.run_id)
        case HeartbeatLine():
            _see_heartbeat(line, runner, cache)
        case ListLine():
            runner.refused_since = None
            if runner.down:
                runner.down = runner.gone = False
            listener.on_deaths(runner, line.deaths)
            for reported in line.runs:
                listener.on_report(runner, reported)
            _see_runner(line, runner)
            for run_id in cache.see_list(runner, line.runs, opened_at):
                listener.on_unknown(runner, run_id)
            listener.on_runner(runner)
        case never:
            assert_never(never)


def _note_readiness(runner: Runner, readiness: Readiness | None) -> bool:
    """Remember why the runner is not ready. Returns whether that has changed."""
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
