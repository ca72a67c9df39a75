"""One runner pod from its address to its end: waits until it is ready, then listens to its stream, again and again.

```
  address ──/readyz──▶ not ready ⟲ ──▶ ready ──GET /runs?watch=1──▶ heard ⟲ ──▶ down ──▶ /readyz …
```
Down: nobody listens there any more, or somebody else does. The pod's first process forks the next runner.
"""

import asyncio
import errno
import logging
import time
from collections.abc import Mapping
from typing import Protocol, assert_never

from relayrun_core.runner_protocol import HeartbeatLine, Line, ListLine, RunLine, RunReport
from relayrun_operator.kube.runner import PodRunner
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.transport import RunnerUnreachable, TokenRefused
from relayrun_operator.loop.watch import handle_line, note_readiness

logger = logging.getLogger("relayrun.kube")

#: How soon a runner that starts is asked again; a stream that broke is opened again.
_READY_POLL_SECONDS = 0.05
_LONGEST_READY_POLL_SECONDS = 1.0
#: Who refuses our token for so long is alive; the kubelet brings a new one sooner. After that it is as good as silent.
_REFUSAL_SECONDS = 120.0
_RECONNECT_SECONDS = (0.02, 0.05, 0.2, 0.5, 1.0)


class Listener(Protocol):
    """Who wants to know what runners say."""

    def on_report(self, runner: PodRunner, reported: RunReport) -> None:
        """A run, as its runner reports it; before the cache hears of it."""

    def on_unknown(self, runner: PodRunner, run_id: str) -> None:
        """A runner executes a run of which nothing is known."""

    def on_deaths(self, runner: PodRunner, deaths: Mapping[str, int]) -> None:
        """How the processes before this one in its pod ended, by reason."""

    def on_runner(self, runner: PodRunner) -> None:
        """It became ready, or down, or told why it is not ready."""


async def watch_pod(runner: PodRunner, cache: Cache[PodRunner], listener: Listener) -> None:
    """Tell the cache what the runner says, until cancelled."""
    while True:
        await _wait_until_ready(runner, listener)
        await _listen_until_down(runner, cache, listener)


async def _wait_until_ready(runner: PodRunner, listener: Listener) -> None:
    pause = _READY_POLL_SECONDS
    while True:
        readiness = await runner.client.readiness()
        # A runner that drains is never ready again, and may still execute runs that a new leader has to adopt.
        if readiness is not None and (readiness.ready or runner.draining):
            return
        if note_readiness(runner, readiness):
            listener.on_runner(runner)
        await asyncio.sleep(pause)  # there is nothing to wait for but its answer
        pause = min(_LONGEST_READY_POLL_SECONDS, pause * 1.2)


async def _listen_until_down(runner: PodRunner, cache: Cache[PodRunner], listener: Listener) -> None:
    refused = tries = 0
    while refused < 2:
        opened_at = time.monotonic()
        try:
            async with runner.client.watch() as lines:
                async for line in lines:
                    refused = tries = 0
                    if _is_of_another_process(line, runner):
                        refused = 2
                        break
                    _hear(line, opened_at, runner, cache, listener)
                    if runner.client.refused:
                        break  # as by another call: whether this stream would be refused too is found out by opening it
        except TokenRefused as error:
            _note_refusal(runner, error, listener)
        except RunnerUnreachable as error:
            logger.debug("%s", error)
            # Nobody listens there any more, although the node answers: the process has died. Twice, because a
            # listener's queue may be full for a moment.
            refused += getattr(error.__cause__, "errno", None) == errno.ECONNREFUSED
        tries += 1
        await asyncio.sleep(_RECONNECT_SECONDS[min(tries, len(_RECONNECT_SECONDS)) - 1])  # the back-off itself
    level = logging.INFO if runner.draining else logging.WARNING
    logger.log(level, "runner %s: its process has ended", runner.name)
    lose_process(runner, cache)
    listener.on_runner(runner)


def _note_refusal(runner: PodRunner, error: TokenRefused, listener: Listener) -> None:
    now = time.monotonic()
    if runner.refused_since is None:
        logger.warning("%s", error)
        runner.refused_since, runner.full = now, True
        runner.changed(now)
        listener.on_runner(runner)
    if now - runner.refused_since < _REFUSAL_SECONDS:
        runner.last_heard = now


def lose_process(runner: PodRunner, cache: Cache[PodRunner]) -> None:
    """The runner's process has ended; its pod may start another one, which has none of the runs."""
    now = time.monotonic()
    runner.was_ready, runner.unready_since = runner.was_ready or runner.ready, now
    runner.down, runner.gone, runner.ready, runner.serving, runner.holder = True, True, False, False, None
    cache.requeue_runner(runner.name)
    runner.reports.clear()
    runner.accepted_at.clear()
    runner.client.close()
    runner.changed(now)


def _is_of_another_process(line: Line, runner: PodRunner) -> bool:
    # It may have had no time to load its graphs: the list alone does not make it ready.
    return isinstance(line, ListLine) and runner.holder not in (None, line.holder)


def _hear(line: Line, opened_at: float, runner: PodRunner, cache: Cache[PodRunner], listener: Listener) -> None:
    match line:
        case ListLine():
            runner.down, runner.gone, runner.refused_since = False, False, None
            listener.on_deaths(runner, line.deaths)
            for reported in line.runs:
                listener.on_report(runner, reported)
        case RunLine():
            listener.on_report(runner, line)
        case HeartbeatLine():
            pass
        case never:
            assert_never(never)
    handle_line(
        line,
        opened_at,
        runner,
        cache,
        lambda run_id: listener.on_unknown(runner, run_id),
        lambda: listener.on_runner(runner),
    )
