"""Runners that fall silent, come back and die, in every order: in the end all runs have ended, and no slot is taken.

The database's fence, the runners and their streams are played; cache, engine and calls are the real ones.
"""

import asyncio
import time
from random import Random
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from relayrun_core.ids import new_run_id
from relayrun_core.runner_protocol import (
    Accepted,
    AlreadyFinished,
    AssignRequest,
    AttemptState,
    Full,
    HeartbeatLine,
    Line,
    ListLine,
    OutcomeBody,
    RunLine,
    RunReport,
    Stale,
    StopAction,
)  # fmt: skip
from relayrun_core.runs import RunHead
from relayrun_core.states import CancelAction, RunStatus
from relayrun_operator.engine import AgentView, Finish, Liveness, RunView, TickClock, plan
from relayrun_operator.engine.decisions import Abandon, Assign, Cancel, Nothing, Wait
from relayrun_operator.local.runner import LocalListener
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.calls import RunnerCalls
from relayrun_operator.loop.client import RunnerClient, assign_request
from relayrun_operator.loop.ports import Ended
from relayrun_operator.loop.runner import Runner
from relayrun_operator.loop.transport import RunnerUnreachable
from relayrun_operator.loop.watch import handle_line
from relayrun_operator.loop.workqueue import WorkQueue
from tests.operator.build import told

SLOTS = 2
FAR_AHEAD = 1e6  # no pause between two tries lasts so long


class Row:
    """A run in the played database."""

    def __init__(self, number: int) -> None:
        self.run_id, self.thread_id, self.seq = new_run_id(), new_run_id(), number
        self.status, self.attempt = RunStatus.PENDING, 0
        self.holder: str | None = None
        self.runner: str | None = None
        self.cancel: CancelAction | None = None

    def head(self) -> RunHead:
        return RunHead(
            run_id=self.run_id, seq=self.seq, thread_id=self.thread_id, agent="a", graph="g", status=self.status,
            attempt=self.attempt, holder=cast("Any", self.holder), runner=self.runner, failed_attempts=0, suspect=False,
            not_before=None, cancel=self.cancel, active_deadline=None, active_deadline_seconds=1e9,
            starting_deadline=None,
        )  # fmt: skip


class Played:
    """A runner process. What it says waits until its stream delivers it; a silent one's is kept back."""

    def __init__(self, name: str, database: dict[str, Row]) -> None:
        self.name, self.holder = name, f"holder-{name}"
        self.runs: dict[str, tuple[int, AttemptState]] = {}
        self.unsaid: list[Line] = []
        self.calls: list[tuple[asyncio.Future[Any], Any]] = []
        self.answers: list[tuple[asyncio.Future[Any], Any]] = []
        self.silent = self.dead = False
        self._database = database

    async def assign(self, run_id: str, request: AssignRequest) -> Any:
        return await self._call(lambda: self._claim(run_id, request.attempt))

    async def stop(self, run_id: str, attempt: int, action: StopAction) -> bool:
        return bool(await self._call(lambda: self._stop(run_id, attempt, action)))

    def close(self) -> None:
        pass

    async def _call(self, act: Any) -> Any:
        if self.dead:
            raise RunnerUnreachable("it is dead")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.calls.append((answer, act))
        return await answer

    def finish(self, run_id: str) -> None:
        """The graph has come to its end; the fence decides what that is worth."""
        attempt, state = self.runs[run_id]
        row = self._database[run_id]
        if not state.holds:
            return
        if (row.attempt, row.holder, row.status) == (attempt, self.holder, RunStatus.RUNNING):
            row.status, row.holder = RunStatus.SUCCESS, None
            self._say(run_id, attempt, AttemptState.FINISHED)
        else:
            self._say(run_id, attempt, AttemptState.ABANDONED)

    def list(self) -> ListLine:
        runs = [self._report(run_id, attempt, state) for run_id, (attempt, state) in self.runs.items()]
        return ListLine(holder=self.holder, slots=SLOTS, graphs=["g"], runs=runs)

    def _claim(self, run_id: str, attempt: int) -> Any:
        row = self._database[run_id]
        if row.status.finished:
            return AlreadyFinished(outcome=OutcomeBody(status=row.status))
        if (row.attempt, row.holder) == (attempt, self.holder):
            return Accepted(run_id=run_id, attempt=attempt)
        if row.attempt >= attempt:
            return Stale(attempt=row.attempt)
        if sum(state.holds for _, state in self.runs.values()) >= SLOTS:
            return Full()
        row.status, row.attempt, row.holder, row.runner = RunStatus.RUNNING, attempt, self.holder, self.name
        self._say(run_id, attempt, AttemptState.RUNNING)
        return Accepted(run_id=run_id, attempt=attempt)

    def _stop(self, run_id: str, attempt: int, action: StopAction) -> bool:
        if self.runs.get(run_id, (0, ""))[0] != attempt:
            return False
        if self.runs[run_id][1].holds:
            self._say(
                run_id, attempt, AttemptState.ABANDONED if action is StopAction.ABANDON else AttemptState.CANCELLING
            )
        return True

    def _say(self, run_id: str, attempt: int, state: AttemptState) -> None:
        self.runs[run_id] = (attempt, state)
        self.unsaid.append(RunLine(**self._report(run_id, attempt, state).model_dump()))

    def _report(self, run_id: str, attempt: int, state: AttemptState) -> RunReport:
        return told(run_id, attempt, state, RunStatus.SUCCESS if state is AttemptState.FINISHED else None)


class PlayedPorts:
    """Runs that are ended from outside are ended in the played database; rows are read when `chance` says so."""

    leads = True

    def __init__(self, database: dict[str, Row], reread: list[str]) -> None:
        self._database = database
        self._reread = reread

    def agents(self) -> list[AgentView]:
        return [AgentView("a", "1", SLOTS)]

    def adjust(self, silent: frozenset[str]) -> None:
        pass

    def end_silent(self, runner: Runner) -> None:
        pass

    def resync(self) -> None:
        pass

    async def assign(self, run: RunView, runner: Runner, decision: Assign) -> Any:
        return await runner.client.assign(run.run_id, assign_request(run, decision))

    async def finish(self, run: RunView, decision: Finish) -> Ended | None:
        row = self._database[run.run_id]
        if row.status.finished:
            return None
        row.status, row.attempt, row.holder = decision.reason.status, row.attempt + 1, None
        return Ended(row.status, run.attempt + 1)

    def reread(self, run_id: str) -> bool:
        self._reread.append(run_id)
        return True

    def report_assign(self, run: RunView, decision: Assign) -> None:
        pass

    def report_wait(self, run: RunView, decision: Wait) -> None:
        pass

    def report_loss(self, runner: Runner) -> None:
        pass

    def report_round(self, seconds: float) -> None:
        pass


class Play:
    """The world; `chance` decides what happens next."""

    def __init__(self, chance: Random, tasks: asyncio.TaskGroup) -> None:
        self.chance = chance
        self.database: dict[str, Row] = {}
        self.played: dict[str, Played] = {}
        self.hinted: list[str] = []
        self.read: list[RunHead] = []
        self.cache = Cache[Runner](WorkQueue(lambda: None), time.monotonic)
        self.calls = RunnerCalls[Runner](tasks, self.cache, PlayedPorts(self.database, self.hinted))
        self._started = 0

    # What may happen

    def accept(self) -> None:
        row = Row(len(self.database))
        self.database[str(row.run_id)] = row
        self.cache.see_row(row.head())

    def start_runner(self) -> None:
        self._started += 1
        played = Played(f"r{self._started}", self.database)
        self.played[played.name] = played
        self.cache.runners[played.name] = Runner(
            name=played.name, agent="a", generation="1", client=cast("RunnerClient", played), slots=SLOTS,
            started_at=0.0, last_heard=time.monotonic(),
        )  # fmt: skip
        self.connect(played)

    def kill(self) -> None:
        played = self._any()
        played.dead = True
        del self.played[played.name]
        self.cache.remove_runner(played.name, excused=False)
        for answer, _ in (*played.calls, *played.answers):
            answer.set_exception(RunnerUnreachable("it is dead"))
        self.start_runner()

    def fall_silent(self) -> None:
        self._any().silent = True

    def speak_again(self) -> None:
        played = self._any()
        if played.silent and self.chance.random() < 0.5:
            self.connect(played)  # its stream broke meanwhile
        played.silent = False

    def connect(self, played: Played) -> None:
        played.unsaid.clear()
        self._hear(played, played.list())

    def deliver(self) -> None:
        played = self._any()
        while played.unsaid and not played.silent and self.chance.random() < 0.8:
            self._hear(played, played.unsaid.pop(0))

    def act(self) -> None:
        """Calls reach their runner."""
        played = self._any()
        for call in list(played.calls):
            if self.chance.random() < 0.7:
                played.calls.remove(call)
                played.answers.append((call[0], call[1]()))

    def answer(self) -> None:
        """Answers come back, or do not."""
        played = self._any()
        for answer, result in list(played.answers):
            if self.chance.random() < 0.7:
                played.answers.remove((answer, result))
                if self.chance.random() < 0.8:
                    answer.set_result(result)
                else:
                    answer.set_exception(RunnerUnreachable("no clear answer"))

    def cancel(self) -> None:
        """Somebody wants a run to end: the row says so, and the world is told, or reads it."""
        waiting = [row for row in self.database.values() if not row.status.finished]
        if waiting:
            row = self.chance.choice(waiting)
            row.cancel = CancelAction.INTERRUPT
            self.hinted.append(str(row.run_id))

    def forget(self) -> None:
        """As runners do with what ended a while ago."""
        played = self._any()
        played.runs = {run_id: run for run_id, run in played.runs.items() if run[1].holds}

    def finish(self) -> None:
        played = self._any()
        for run_id in list(played.runs):
            if self.chance.random() < 0.5:
                played.finish(run_id)

    def read_rows(self) -> None:
        """What was read is noted later."""
        self.read += [self.database[run_id].head() for run_id in self.hinted]
        self.hinted.clear()

    def note_rows(self) -> None:
        for head in self.read:
            self.cache.see_row(head)
        self.read.clear()

    def read_all_rows(self) -> None:
        """As every half minute."""
        for row in self.database.values():
            if not row.status.finished or str(row.run_id) in self.cache.runs:
                self.cache.see_row(row.head())
        self.cache.resync()

    def decide(self) -> None:
        now = time.monotonic()
        for name, played in self.played.items():
            runner = self.cache.runners[name]
            runner.last_heard = now - 100 if played.silent else now
            if played.silent != getattr(runner, "was_lost", False):
                runner.was_lost = played.silent  # type: ignore[attr-defined]
                self.cache.requeue_runner(name)
        taken = self.cache.queue.take(self.cache.runs)
        liveness = Liveness(now, TickClock(now, 0.0), looked_at=now)
        world = self.cache.world(liveness, time.time() + FAR_AHEAD, AgentView("a", "1", SLOTS))
        for run, decision in plan(taken.changed, world, taken.waiting):
            waits = isinstance(decision, Wait) and decision.reason.needs_runner
            (self.cache.queue.waiting.add if waits else self.cache.queue.waiting.discard)(run.run_id)
            match decision:
                case Assign():
                    self.calls.assign(run, decision)
                case Abandon():
                    self.calls.abandon(run, decision)
                    self.cache.queue.add(run.run_id)
                case Cancel():
                    self.calls.cancel(run, decision)
                case Finish():
                    self.calls.finish(run, decision)
                case Nothing() if run.status.finished:
                    self.cache.forget_ended(run.run_id)
                case _:
                    pass

    async def settle(self) -> None:
        """Nobody is silent any more, everything arrives, and runs end by themselves."""
        for played in self.played.values():
            played.silent = False
        for _ in range(200):
            for played in self.played.values():
                for answer, result in [*played.answers, *((answer, act()) for answer, act in played.calls)]:
                    answer.set_result(result)
                played.calls.clear()
                played.answers.clear()
                for run_id in list(played.runs):
                    played.finish(run_id)
                while played.unsaid:
                    self._hear(played, played.unsaid.pop(0))
                self._hear(played, HeartbeatLine())
            self.read_rows()
            self.note_rows()
            self.decide()
            await drained()
            if all(row.status.finished for row in self.database.values()) and not self.cache.runs:
                return

    def _hear(self, played: Played, line: Line) -> None:
        runner = self.cache.runners[played.name]
        handle_line(line, time.monotonic(), runner, self.cache, LocalListener(self.hinted.append, lambda: None))

    def _any(self) -> Played:
        return self.chance.choice(list(self.played.values()))


async def drained() -> None:
    """Let what was answered be noted."""
    for _ in range(5):
        await asyncio.sleep(0)


async def play(chance: Random) -> None:
    async with asyncio.TaskGroup() as tasks:
        world = Play(chance, tasks)
        for _ in range(3):
            world.start_runner()
        happen = [
            *[world.accept] * 2, *[world.decide] * 6, *[world.deliver] * 4, *[world.act] * 5, *[world.finish] * 2,
            *[world.answer] * 5, *[world.read_rows] * 2, *[world.note_rows] * 2, world.read_all_rows, world.forget,
            world.cancel,             world.fall_silent, world.speak_again, world.kill,
        ]  # fmt: skip
        for _ in range(chance.randrange(10, 120)):
            chance.choice(happen)()
            await drained()
        await world.settle()
        unfinished = {run_id: row.status for run_id, row in world.database.items() if not row.status.finished}
        assert not unfinished, (unfinished, world.cache.runs)
        for runner in world.cache.runners.values():
            assert runner.view.load == 0, runner.reports
        assert world.cache.runs == {}
        assert not world.cache.queue.waiting


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.integers(0, 2**32))
def test_whatever_is_lost_and_found_every_run_ends_and_no_slot_stays_taken(seed: int) -> None:
    asyncio.run(play(Random(seed)))
