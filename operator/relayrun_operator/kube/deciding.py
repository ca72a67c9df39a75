"""The loop between observing and doing: it asks the engine for what changed, and hands over what the engine says."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from relayrun_operator.engine import (
    Abandon,
    Assign,
    Cancel,
    Decision,
    Finish,
    Hearing,
    Nothing,
    RunView,
    TickClock,
    Wait,
    lost_runners,
    plan,
    wants_look,
)
from relayrun_operator.engine.clock import TICK_SECONDS
from relayrun_operator.engine.reasons import WaitReason
from relayrun_operator.kube.book import RunBook
from relayrun_operator.kube.calls import KubeCalls
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.records import AgentRecord
from relayrun_operator.kube.runner import PodRunner
from relayrun_operator.world.memory import Memory

logger = logging.getLogger("relayrun.kube")

_FULL_PASS_SECONDS = 30.0

_WAITS_FOR_A_RUNNER = (WaitReason.NO_CAPACITY, WaitReason.AGENT_NOT_READY, WaitReason.AGENT_NOT_FOUND)


class KubeDecider:
    """Decides whenever `wake` is set, and looks at the time twice a second, while this replica `leads`.

    `adjust` sees to the pools.
    """

    def __init__(
        self,
        memory: Memory[PodRunner],
        calls: KubeCalls,
        book: RunBook,
        agents: dict[str, AgentRecord],
        metrics: OperatorMetrics,
        *,
        leads: Callable[[], bool],
        wake: asyncio.Event,
        adjust: Callable[[frozenset[str]], None],
        lost_after_seconds: float,
    ) -> None:
        now = time.monotonic()
        self.lost: frozenset[str] = frozenset()
        self._memory = memory
        self._calls = calls
        self._book = book
        self._agents = agents
        self._metrics = metrics
        self._leads = leads
        self._wake = wake
        self._adjust = adjust
        self._hearing = Hearing(now, TickClock.start(now), lost_after_seconds=lost_after_seconds)

    async def run(self) -> None:
        """Decide until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick_forever(), name="tick")
            while True:
                await self._wake.wait()
                self._wake.clear()
                self.decide()

    def decide(self) -> None:
        """Decide about what changed since the last time."""
        began = time.perf_counter()
        now, wall = time.monotonic(), time.time()
        if not self._leads():
            # What stops us from renewing the Lease may stop us from hearing runners: nobody's silence counts.
            self._hearing = replace(self._hearing, now=now, clock=TickClock.start(now))
            return  # the next tick decides, if nobody else has taken over by then
        self._hearing = replace(self._hearing, now=now, clock=self._hearing.clock.tick(now))
        self._note_losses()
        taken = self._memory.agenda.take(self._memory.runs)
        if not taken.changed and not taken.waiting:
            return
        world = self._memory.world(self._hearing, wall, *(agent.view for agent in self._agents.values()))
        for run, decision in plan(taken.changed, world, taken.waiting):
            self._carry_out(run, decision, wall)
        self._metrics.reconcile_seconds.observe(time.perf_counter() - began)

    def _carry_out(self, run: RunView, decision: Decision, wall: float) -> None:
        waits = isinstance(decision, Wait) and decision.reason in _WAITS_FOR_A_RUNNER
        waiting = self._memory.agenda.waiting
        (waiting.add if waits else waiting.discard)(run.run_id)
        match decision:
            case Assign():
                self._calls.assign(run, decision)
            case Cancel():
                self._calls.cancel(run, decision)
            case Abandon():
                self._calls.abandon(run, decision)
                self._memory.agenda.touch(run.run_id)  # there may be more to do for it
            case Finish():
                self._calls.finish(run, decision)
            case Wait(reason=reason, message=message, until=until):
                self._book.waits(run.run_id, reason.value, message)
                if until is not None:
                    asyncio.get_running_loop().call_later(until - wall, self._memory.agenda.touch, run.run_id)
            case Nothing():
                if run.status.finished:
                    self._memory.forget_ended(run.run_id)
            case never:
                assert_never(never)

    async def _tick_forever(self) -> None:
        full_pass_at = time.monotonic() + _FULL_PASS_SECONDS
        async with asyncio.TaskGroup() as tasks:
            looking: asyncio.Task[None] | None = None
            while True:
                await asyncio.sleep(TICK_SECONDS)  # the clock that silence is measured with
                now = time.monotonic()
                if now >= full_pass_at:
                    full_pass_at = now + _FULL_PASS_SECONDS
                    self._memory.touch_all()
                    self._book.write_missed()
                self._touch_overdue(time.time())
                self.decide()
                self._adjust(self.lost)
                if self._wants_look() and (looking is None or looking.done()):
                    looking = tasks.create_task(self._look(), name="look at the pods")

    def _touch_overdue(self, wall: float) -> None:
        for run in self._memory.runs.values():
            deadline = run.active_deadline or run.starting_deadline
            if deadline is not None and wall >= deadline:
                self._memory.agenda.touch(run.run_id)

    def _note_losses(self) -> None:
        runners = self._memory.runners
        lost = lost_runners([runner.view for runner in runners.values()], self._hearing)
        for name in lost - self.lost:
            if not runners[name].down:
                logger.warning("runner %s is lost: it has been silent for too long", name)
            for run in self._memory.runs.values():
                if run.runner == name:
                    self._book.lost(run.run_id)
        for name in lost ^ self.lost:
            self._memory.touch_runner(name)
        self.lost = lost

    def _wants_look(self) -> bool:
        return wants_look([runner.view for runner in self._memory.runners.values()], self._hearing)

    async def _look(self) -> None:
        """Ask every runner directly: most streams are silent, so the streams, or we, may be what is ill."""
        runners = list(self._memory.runners.values())
        answers = await asyncio.gather(*(runner.client.readiness() for runner in runners))
        now = time.monotonic()
        for runner, answer in zip(runners, answers, strict=True):
            if answer is not None:
                runner.last_heard = now
        self._hearing = replace(self._hearing, looked_at=now)
