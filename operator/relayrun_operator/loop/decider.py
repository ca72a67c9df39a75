"""The reconcile loop: asks the engine about each change, and carries out its decisions."""

import asyncio
import logging
import time
from dataclasses import replace
from typing import Generic, assert_never

from relayrun_operator.engine import (
    Abandon,
    Assign,
    Cancel,
    Decision,
    Finish,
    Liveness,
    Nothing,
    RunnerView,
    RunView,
    Silences,
    TickClock,
    Wait,
    lost_runners,
    plan,
    wants_look,
)
from relayrun_operator.engine.loss import TICK_SECONDS
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.calls import RunnerCalls
from relayrun_operator.loop.ports import Ports
from relayrun_operator.loop.runner import R

logger = logging.getLogger("relayrun.loop")

_RESYNC_SECONDS = 30.0

#: The wall clock was set, when it went otherwise than the monotonic one by so much between two looks.
_CLOCK_SET_SECONDS = 2.0


class Decider(Generic[R]):
    """Decides whenever `wake` is set, and looks at the time twice a second."""

    def __init__(
        self,
        cache: Cache[R],
        calls: RunnerCalls[R],
        ports: Ports[R],
        wake: asyncio.Event,
        lost_after_seconds: float,
    ) -> None:
        now = time.monotonic()
        self.times_lost = 0
        self._cache = cache
        self._calls = calls
        self._ports = ports
        self._wake = wake
        self._liveness = Liveness(now, TickClock.start(now), lost_after_seconds=lost_after_seconds)
        #: The wall clock less the monotonic one.
        self._wall_offset = time.time() - now
        self._lost: frozenset[str] = frozenset()
        self._silences = Silences()

    @property
    def silent(self) -> frozenset[str]:
        """The runners that are given up because they are silent; they may still be there."""
        return frozenset(self._silences.since)

    async def run(self) -> None:
        """Decide until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick_forever(), name="tick")
            while True:
                await self._wake.wait()
                self._wake.clear()
                self.decide()

    def listen(self) -> None:
        """Note that this process listens, although it does not decide yet."""
        now = time.monotonic()
        self._liveness = replace(self._liveness, now=now, clock=self._liveness.clock.tick(now))

    def decide(self) -> None:
        """Decide about all changes since the last call."""
        began = time.perf_counter()
        now, wall = time.monotonic(), self._wall_time()
        if not self._ports.leads:
            # What stops us from leading may stop us from hearing runners: nobody's silence counts.
            self._liveness = replace(self._liveness, now=now, clock=TickClock.start(now))
            return  # the next tick decides, if nobody else leads by then
        self._liveness = replace(self._liveness, now=now, clock=self._liveness.clock.tick(now))
        self._note_losses()
        batch = self._cache.queue.take(self._cache.runs)
        if not batch.changed and not batch.waiting:
            return
        world = self._cache.world(self._liveness, wall, *self._ports.agents())
        for run, decision in plan(batch.changed, world, batch.waiting):
            self._carry_out(run, decision, wall)
        self._ports.report_round(time.perf_counter() - began)

    def _carry_out(self, run: RunView, decision: Decision, wall: float) -> None:
        queue = self._cache.queue
        waits = isinstance(decision, Wait) and decision.reason.needs_runner
        (queue.waiting.add if waits else queue.waiting.discard)(run.run_id)
        match decision:
            case Assign():
                self._ports.report_assign(run, decision)
                self._calls.assign(run, decision)
            case Cancel():
                self._calls.cancel(run, decision)
            case Abandon():
                self._calls.abandon(run, decision)
                queue.add(run.run_id)  # there may be more to do for it
            case Finish():
                self._calls.finish(run, decision)
            case Wait(until=until):
                self._ports.report_wait(run, decision)
                if until is not None:
                    asyncio.get_running_loop().call_later(until - wall, queue.add, run.run_id)
            case Nothing():
                if run.status.finished:
                    self._cache.forget_ended(run.run_id)
            case never:
                assert_never(never)

    async def _tick_forever(self) -> None:
        resync_at = time.monotonic() + _RESYNC_SECONDS
        async with asyncio.TaskGroup() as tasks:
            looking: asyncio.Task[None] | None = None
            while True:
                await asyncio.sleep(TICK_SECONDS)  # the clock that silence is measured with
                now = time.monotonic()
                if now >= resync_at:
                    resync_at = now + _RESYNC_SECONDS
                    self._cache.resync()
                    self._ports.resync()
                self._queue_overdue(self._wall_time())
                self.decide()
                self._ports.adjust(self.silent)
                if wants_look(self._runner_views(), self._liveness) and (looking is None or looking.done()):
                    looking = tasks.create_task(self._look(), name="look at the runners")

    def _wall_time(self) -> float:
        """Seconds since the epoch. Once the clock was set, deadlines and pauses are as far away as before."""
        wall = time.time()
        offset = wall - time.monotonic()
        if abs(by := offset - self._wall_offset) >= _CLOCK_SET_SECONDS:
            logger.warning("this machine's clock was set by %+.0f s: deadlines and pauses of runs move with it", by)
            self._cache.move_times(by)
        self._wall_offset = offset
        return wall

    def _queue_overdue(self, wall: float) -> None:
        for run in self._cache.runs.values():
            deadline = run.active_deadline or run.starting_deadline
            if deadline is not None and wall >= deadline:
                self._cache.queue.add(run.run_id)

    def _note_losses(self) -> None:
        runners, views, now = self._cache.runners, self._runner_views(), self._liveness.now
        lost = lost_runners(views, self._liveness)
        self._silences = self._silences.update(views, self._liveness)
        for name in lost - self._lost:
            if name in self._silences.since:
                self.times_lost += 1
                logger.warning("runner %s is lost: it has been silent for too long", name)
            self._ports.report_loss(runners[name])
        for name in lost ^ self._lost:
            self._cache.requeue_runner(name)
        for name in self._silences.overdue(now):
            self._ports.end_silent(runners[name])
        self._lost = lost

    def _runner_views(self) -> list[RunnerView]:
        return [runner.view for runner in self._cache.runners.values()]

    async def _look(self) -> None:
        """Ask every runner directly: most streams are silent, so the streams, or we, may be what is ill."""
        runners = list(self._cache.runners.values())
        answers = await asyncio.gather(*(runner.client.readiness() for runner in runners))
        now = time.monotonic()
        for runner, answer in zip(runners, answers, strict=True):
            if answer is not None:
                runner.last_heard = now
        self._liveness = replace(self._liveness, looked_at=now)
