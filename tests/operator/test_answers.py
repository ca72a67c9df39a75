"""What each answer of a runner means for its run: a scripted runner answers, the next decision is looked at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from relayrun_core.database import Database
from relayrun_core.db.queue import heads_of
from relayrun_core.db.runs import get_run
from relayrun_core.runner_protocol import (
    AlreadyFinished,
    AssignRequest,
    AttemptState,
    BackOff,
    Draining,
    Full,
    Invalid,
    NewRunBody,
    NotFound,
    OutcomeBody,
    Refusal,
    Stale,
    ThreadBusy,
    Unavailable,
    UnknownGraph,
)
from relayrun_core.runs import ObjectRef, RunHead, RunSpec
from relayrun_core.states import CancelAction, Reason, RunStatus
from relayrun_operator.engine import (
    AgentView,
    Assign,
    Decision,
    Liveness,
    Nothing,
    TickClock,
    Wait,
    WaitReason,
    decide,
    plan,
)
from relayrun_operator.engine.decisions import Abandon, Cancel
from relayrun_operator.engine.reasons import AssignReason
from relayrun_operator.local.ports import LocalPorts
from relayrun_operator.local.runner import LocalRunner
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.calls import RunnerCalls
from relayrun_operator.loop.transport import NotSent
from relayrun_operator.loop.workqueue import WorkQueue
from tests.operator.build import told
from tests.operator.scripted import ACCEPTED, ScriptedRunner
from tests.support.runs import accept
from tests.support.waiting import until

AGENT = AgentView("default", "0")


@dataclass
class Stage:
    """A cache with scripted runners and one run, and what is decided about it."""

    cache: Cache
    calls: RunnerCalls[LocalRunner]
    runner: LocalRunner
    scripted: ScriptedRunner
    run_id: str
    hints: list[str] = field(default_factory=list)

    @property
    def run(self):
        return self.cache.runs[self.run_id]

    def decide(self, *, later_seconds: float = 0.0) -> Decision:
        now = time.monotonic()
        world = self.cache.world(Liveness(now, TickClock.start(now)), time.time() + later_seconds, AGENT)
        return decide(self.run, world)

    async def assign(self) -> None:
        """Decide once, which has to be an assignment, and wait for its answer."""
        decision = self.decide(later_seconds=60)
        assert isinstance(decision, Assign)
        before = len(self.scripted.calls)
        self.calls.assign(self.run, decision)
        await until(lambda: len(self.scripted.calls) > before)
        await until(lambda: not self.is_assigning)

    @property
    def is_assigning(self) -> bool:
        report = self.runner.reports.get(self.run_id)
        return report is not None and report.state is AttemptState.CLAIMING


def head(run_id: UUID | None = None, **fields) -> RunHead:
    known = {
        "seq": 1, "thread_id": uuid4(), "agent": "default", "graph": "steps", "status": RunStatus.PENDING,
        "attempt": 0, "holder": None, "runner": None, "failed_attempts": 0, "suspect": False, "not_before": None,
        "cancel": None, "active_deadline": None, "active_deadline_seconds": 60.0,
        "starting_deadline": time.time() + 600,
    }  # fmt: skip
    return RunHead(run_id or uuid4(), **known | fields)


@asynccontextmanager
async def stage_with(database: Database, row: RunHead | None = None) -> AsyncIterator[Stage]:
    cache = Cache(WorkQueue(lambda: None), time.monotonic)
    row = row or head()
    hints: list[str] = []
    async with ScriptedRunner().serving() as scripted, asyncio.TaskGroup() as tasks:
        rows, pool = SimpleNamespace(reread=hints.append), SimpleNamespace()
        ports = LocalPorts(database, cast("Any", rows), cast("Any", pool))
        calls = RunnerCalls[LocalRunner](tasks, cache, ports)
        runner = scripted.as_runner()
        cache.runners["r1"] = runner
        cache.see_row(row)
        yield Stage(cache, calls, runner, scripted, str(row.run_id), hints)
        runner.client.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url, role="world", max_size=2) as opened:
        yield opened


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    async with stage_with(database) as built:
        yield built


async def test_202_means_that_it_runs_there(stage: Stage):
    await stage.assign()
    assert stage.scripted.calls == [
        ("PUT", stage.run_id, {"attempt": 1, "graph": "steps", "excused": False, "alone": False, "pinned": False})
    ]
    assert (stage.run.status, stage.run.runner, stage.run.holder) == (RunStatus.RUNNING, "r1", "holder-r1")
    assert stage.run.active_deadline == pytest.approx(time.time() + 60, abs=5)
    assert stage.decide() == Nothing()


async def test_200_means_that_it_has_ended(stage: Stage):
    stage.scripted.answers = [AlreadyFinished(outcome=OutcomeBody(status=RunStatus.CANCELLED, reason=Reason.CANCELLED))]
    await stage.assign()
    assert stage.run_id not in stage.cache.runs
    assert stage.cache.ended == {"cancelled": 1}
    assert stage.runner.reports == {}


async def test_full_means_no_more_until_the_runner_says_something_new(stage: Stage):
    stage.scripted.answers = [Full()]
    await stage.assign()
    decision = stage.decide()
    assert isinstance(decision, Wait)
    assert decision.reason is WaitReason.NO_CAPACITY
    stage.cache.see_report(stage.runner, told(uuid4(), 1, AttemptState.FINISHED, RunStatus.SUCCESS))
    assert stage.decide() == Assign("r1", 1, AssignReason.RUNNING, "assigned to runner r1")


async def test_draining_means_elsewhere(stage: Stage):
    stage.scripted.answers = [Draining()]
    await stage.assign()
    stage.cache.runners["r2"] = stage.scripted.as_runner("r2")
    assert stage.decide() == Assign("r2", 1, AssignReason.RUNNING, "assigned to runner r2")


async def test_backing_off_means_later_and_alone_where_the_run_is_suspect(stage: Stage):
    stage.scripted.answers = [BackOff(seconds=2.0, suspect=True, attempt=3)]
    await stage.assign()
    now = stage.decide()
    assert isinstance(now, Wait)
    assert now.reason is WaitReason.BACK_OFF
    assert now.until == pytest.approx(time.time() + 2, abs=1)
    later = stage.decide(later_seconds=3)
    assert isinstance(later, Assign)
    assert (later.attempt, later.alone) == (4, True)


async def test_stale_means_that_the_row_knows_better(stage: Stage):
    stage.scripted.answers = [Stale(attempt=7)]
    await stage.assign()
    assert stage.hints == [stage.run_id]
    assert isinstance(stage.decide(), Wait)
    later = stage.decide(later_seconds=1)
    assert isinstance(later, Assign)
    assert later.attempt == 8


async def test_thread_busy_by_a_run_we_do_not_know_means_that_both_rows_are_read(stage: Stage):
    other = head(thread_id=UUID(stage.run.thread), seq=0)
    stage.scripted.answers = [ThreadBusy(by=str(other.run_id))]
    await stage.assign()
    assert stage.hints == [str(other.run_id), stage.run_id]
    stage.cache.see_row(other)
    decision = stage.decide(later_seconds=1)
    assert isinstance(decision, Wait)
    assert decision.reason is WaitReason.THREAD_BUSY
    stage.cache.end(str(other.run_id), RunStatus.SUCCESS, 1)
    assert isinstance(stage.decide(later_seconds=1), Assign)


async def test_not_found_means_that_the_row_is_read(stage: Stage):
    stage.scripted.answers = [NotFound()]
    await stage.assign()
    assert stage.hints == [stage.run_id]
    stage.cache.see_missing_row(stage.run_id)
    assert stage.cache.runs == {}


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (Invalid(message="the thread is another owner's"), "the thread is another owner's"),
        (UnknownGraph(graph="steps"), "runner r1 has no graph steps"),
        ((400, {"reason": "Invalid", "message": "attempt: not a number"}), "attempt: not a number"),
    ],
)
async def test_invalid_means_that_the_run_ends_with_the_runner_s_sentence(database: Database, refusal, message):
    accepted = await accept(database)
    [row] = await heads_of(database, [accepted.run_id])
    async with stage_with(database, row) as stage:
        stage.scripted.answers = [refusal]
        await stage.assign()
        await until(lambda: stage.cache.ended == {"error": 1})
    run = await get_run(database, accepted.run_id)
    assert run is not None
    assert (run.reason, run.message) == (Reason.INVALID_RUN, message)


async def test_what_is_nested_too_deep_to_be_sent_is_invalid() -> None:
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"a": deep}
    create = NewRunBody(thread_id=uuid4(), agent="a", spec=RunSpec(input=deep), object=ObjectRef("n", "x", "u"))
    runner = ScriptedRunner().as_runner()
    answer = await runner.client.assign(str(uuid4()), AssignRequest(attempt=1, create=create))
    assert answer == Invalid(message="the AgentRun is nested too deep: make its input flatter")


UNCLEAR = [
    None,
    Unavailable(reason="DatabaseAway"),
    (500, {"reason": "Error"}),
    (409, {"reason": "OfANewerVersion"}),
    (404, {"detail": "of somebody in between"}),
    (202, {"cut": "off"}),
]


@pytest.mark.parametrize("answer", UNCLEAR, ids=["dropped", "503", "500", "newer", "another 404", "another 202"])
async def test_no_clear_answer_means_the_same_number_to_the_same_runner(stage: Stage, answer):
    stage.scripted.answers = [answer, ACCEPTED]
    stage.cache.runners["r0"] = ScriptedRunner().as_runner("r0")  # would be chosen first
    stage.cache.runners["r0"].draining = True
    await stage.assign()
    stage.cache.runners["r0"].draining = False
    assert isinstance(stage.decide(), Wait)
    again = stage.decide(later_seconds=1)
    assert again == Assign("r1", 1, AssignReason.RUNNING, "assigned to runner r1")
    await stage.assign()
    assert [call[2]["attempt"] for call in stage.scripted.calls] == [1, 1]
    assert stage.run.status is RunStatus.RUNNING


@pytest.mark.parametrize("refusal", [Full(), Draining()], ids=["full", "draining"])
async def test_a_refusal_after_no_clear_answer_frees_the_number_for_another_runner(stage: Stage, refusal: Refusal):
    stage.scripted.answers = [None, refusal]
    await stage.assign()
    await stage.assign()
    stage.cache.queue.take(stage.cache.runs)
    stage.cache.runners["r2"] = stage.scripted.as_runner("r2")
    assert stage.decide() == Assign("r2", 1, AssignReason.RUNNING, "assigned to runner r2")


async def test_a_call_that_was_not_made_binds_the_run_to_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    async def not_sent(*_, **__):
        raise NotSent("not leading")

    monkeypatch.setattr(stage.runner.client, "assign", not_sent)
    decision = stage.decide()
    assert isinstance(decision, Assign)
    stage.calls.assign(stage.run, decision)
    await until(lambda: not stage.is_assigning)
    assert (stage.run.attempt, stage.run.runner, stage.run.unanswered) == (0, None, False)
    assert isinstance(stage.decide(later_seconds=2), Assign)


async def test_a_refusal_is_decided_about_again(stage: Stage):
    stage.scripted.answers = [Full()]
    await stage.assign()
    assert [run.run_id for run in stage.cache.queue.take(stage.cache.runs).changed] == [stage.run_id]


async def test_no_clear_answer_from_a_runner_that_is_gone_means_a_new_number_elsewhere_at_once(stage: Stage):
    stage.scripted.answers = [None]
    await stage.assign()
    stage.cache.remove_runner("r1", excused=False)
    stage.cache.runners["r2"] = stage.scripted.as_runner("r2")
    decision = stage.decide()
    assert isinstance(decision, Assign)
    assert (decision.runner, decision.attempt) == ("r2", 2)


async def test_after_many_unclear_answers_another_runner_gets_a_new_number(stage: Stage):
    stage.scripted.answers = [None]
    for _ in range(6):
        await stage.assign()
    stage.cache.runners["r0"] = stage.scripted.as_runner("r0")
    decision = stage.decide(later_seconds=60)
    assert isinstance(decision, Assign)
    assert (decision.runner, decision.attempt) == ("r0", 2)


async def test_news_that_overtake_an_answer_win(stage: Stage):
    decision = stage.decide()
    assert isinstance(decision, Assign)
    stage.scripted.answers = [None]
    stage.calls.assign(stage.run, decision)
    stage.cache.see_report(stage.runner, told(stage.run_id, 1, AttemptState.RUNNING))
    await until(lambda: len(stage.scripted.calls) == 1)
    await asyncio.sleep(0.05)
    assert (stage.run.status, stage.run.unanswered) == (RunStatus.RUNNING, False)
    assert stage.decide() == Nothing()


async def test_a_cancel_is_sent_once_and_an_attempt_that_the_runner_does_not_have_is_forgotten(stage: Stage):
    await stage.assign()
    stage.cache.see_row(head(UUID(stage.run_id), attempt=0, cancel=CancelAction.ROLLBACK))
    decision = stage.decide()
    assert decision == Cancel("r1", 1, CancelAction.ROLLBACK)
    stage.scripted.answers = [NotFound()]
    stage.calls.cancel(stage.run, decision)
    assert stage.decide() == Nothing()
    await until(lambda: stage.run_id not in stage.runner.reports)
    assert stage.scripted.calls[-1] == ("DELETE", stage.run_id, {"attempt": "1", "action": "rollback"})


async def test_an_attempt_of_a_run_that_ended_is_abandoned_and_then_forgotten(stage: Stage):
    await stage.assign()
    stage.cache.end(stage.run_id, RunStatus.TIMEOUT, 2)
    decision = stage.decide()
    assert isinstance(decision, Abandon)
    stage.calls.abandon(stage.run, decision)
    await until(lambda: stage.run_id not in stage.runner.reports)
    assert stage.decide() == Nothing()
    stage.cache.forget_ended(stage.run_id)
    assert stage.cache.runs == {}


async def test_calls_share_a_connection(stage: Stage):
    stage.scripted.answers = [BackOff(seconds=0, suspect=False, attempt=1)]
    for _ in range(3):
        await stage.assign()
    assert stage.scripted.connections == 1


async def test_a_thousand_runs_waiting_are_decided_in_no_time(stage: Stage):
    for n in range(1000):
        stage.cache.see_row(head(seq=n + 2))
    taken = stage.cache.queue.take(stage.cache.runs)
    now = time.monotonic()
    world = stage.cache.world(Liveness(now, TickClock.start(now)), time.time(), AGENT)
    for run, decision in plan(taken.changed, world):
        if isinstance(decision, Wait):
            stage.cache.queue.waiting.add(run.run_id)
    stage.cache.queue.retry_waiting()
    began = time.process_time()
    for _ in range(20):
        stage.cache.queue.retry_waiting()
        taken = stage.cache.queue.take(stage.cache.runs)
        plan(taken.changed, world, taken.waiting)
    assert (time.process_time() - began) / 20 < 0.02
