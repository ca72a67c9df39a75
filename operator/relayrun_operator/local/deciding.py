"""The loop between observing and doing: it asks the engine for what changed, and hands over what the engine says."""

import asyncio
import logging
import time
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
from relayrun_operator.local.apply import Applier
from relayrun_operator.local.pool import LocalPool
from relayrun_operator.local.runner import LocalRunner
from relayrun_operator.world.memory import Memory

logger = logging.getLogger("relayrun.local")

_FULL_PASS_SECONDS = 30.0

#: A runner that was given up for silence and is still there: its memory and its locks are wanted back.
_KILL_SILENT_AFTER_SECONDS = 60.0

_WAITS_FOR_A_RUNNER = (WaitReason.NO_CAPACITY, WaitReason.AGENT_NOT_READY)


class Decider:
    """Decides whenever `wake` is set, and looks at the time twice a second."""

    def __init__(
        self,
        memory: Memory[LocalRunner],
        applier: Applier,
        pool: LocalPool,
        wake: asyncio.Event,
        lost_after_seconds: float,
    ) -> None:
        now = time.monotonic()
        self.lost: frozenset[str] = frozenset()
        self.times_lost = 0
        self._memory = memory
        self._applier = applier
        self._pool = pool
        self._wake = wake
        self._hearing = Hearing(now, TickClock.start(now), lost_after_seconds=lost_after_seconds)
        self._silent_since: dict[str, float] = {}

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
        now, wall = time.monotonic(), time.time()
        self._hearing = replace(self._hearing, now=now, clock=self._hearing.clock.tick(now))
        self._note_losses(now)
        taken = self._memory.agenda.take(self._memory.runs)
        if taken.changed or taken.waiting:
            world = self._memory.world(self._hearing, wall, self._pool.agent)
            for run, decision in plan(taken.changed, world, taken.waiting):
                self._carry_out(run, decision, wall)

    def _carry_out(self, run: RunView, decision: Decision, wall: float) -> None:
        waits = isinstance(decision, Wait) and decision.reason in _WAITS_FOR_A_RUNNER
        (self._memory.agenda.waiting.add if waits else self._memory.agenda.waiting.discard)(run.run_id)
        match decision:
            case Assign():
                self._applier.assign(run, decision)
            case Cancel():
                self._applier.cancel(run, decision)
            case Abandon():
                self._applier.abandon(run, decision)
                self._memory.agenda.touch(run.run_id)  # there may be more to do for it
            case Finish():
                self._applier.finish(run, decision)
            case Wait(until=until):
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
                await asyncio.sleep(TICK_SECONDS)
                now = time.monotonic()
                if now >= full_pass_at:
                    full_pass_at = now + _FULL_PASS_SECONDS
                    self._memory.touch_all()
                self._touch_overdue(time.time())
                self.decide()
                self._pool.adjust(self.lost)
                if self._wants_look() and (looking is None or looking.done()):
                    looking = tasks.create_task(self._look(), name="look at the processes")

    def _touch_overdue(self, wall: float) -> None:
        for run in self._memory.runs.values():
            deadline = run.active_deadline or run.starting_deadline
            if deadline is not None and wall >= deadline:
                self._memory.agenda.touch(run.run_id)

    def _note_losses(self, now: float) -> None:
        runners = self._memory.runners
        lost = lost_runners([runner.view for runner in runners.values()], self._hearing)
        for name in lost - self.lost:
            self.times_lost += 1
            logger.warning("runner %s is lost: it has been silent for too long", name)
        for name in lost ^ self.lost:
            self._memory.touch_runner(name)
        self._silent_since = {name: self._silent_since.get(name, now) for name in lost}
        for name, since in self._silent_since.items():
            if now - since >= _KILL_SILENT_AFTER_SECONDS:
                runners[name].process.kill()
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
