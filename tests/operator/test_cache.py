"""Rows, reports and answers merge into one truth, in whatever order they arrive."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast
from unittest.mock import ANY
from uuid import uuid4

import pytest

from relayrun_core.runner_protocol import AttemptState
from relayrun_core.states import CancelAction, RunStatus
from relayrun_operator.engine import AgentView, Assign, Liveness, TickClock, decide
from relayrun_operator.engine.decisions import Abandon, Decision, Nothing
from relayrun_operator.local.processes import SupervisedProcess
from relayrun_operator.local.runner import LocalRunner
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.client import RunnerClient
from relayrun_operator.loop.workqueue import WorkQueue
from tests.operator.build import told
from tests.operator.test_answers import head

RUNNING, CANCELLING = AttemptState.RUNNING, AttemptState.CANCELLING
FINISHED, DRAINED, ABANDONED = AttemptState.FINISHED, AttemptState.DRAINED, AttemptState.ABANDONED
HOLDER = uuid4()


def make_cache(*names: str) -> Cache:
    cache = Cache(WorkQueue(lambda: None), lambda: 100.0)
    for name in names or ("r1",):
        cache.runners[name] = LocalRunner(
            name=name,
            agent="default",
            generation=0,
            process=cast("SupervisedProcess", None),
            client=RunnerClient("127.0.0.1", 1, ""),
            slots=4,
            started_at=0.0,
            last_heard=1e12,
            holder=str(HOLDER) if name == "r1" else f"holder-{name}",
            ready=True,
        )
    return cache


def running(**fields):
    return head(**{"status": RunStatus.RUNNING, "attempt": 1, "holder": HOLDER, "runner": "r1"} | fields)


def decision_about(cache: Cache, run_id: object) -> Decision:
    now = time.monotonic()
    world = cache.world(Liveness(now, TickClock.start(now)), time.time(), AgentView("default", "0"))
    return decide(cache.runs[str(run_id)], world)


def take_changed(cache: Cache) -> set[str]:
    return {run.run_id for run in cache.queue.take(cache.runs).changed}


def test_a_row_that_was_read_before_the_claim_changes_nothing_but_an_accepted_cancel():
    cache, row = make_cache(), running()
    cache.see_row(row)
    cache.see_row(head(row.run_id, attempt=0))
    assert cache.runs[str(row.run_id)].status is RunStatus.RUNNING
    cache.see_row(head(row.run_id, attempt=0, cancel=CancelAction.INTERRUPT))
    assert cache.runs[str(row.run_id)].cancel is CancelAction.INTERRUPT
    cache.see_row(row)
    assert cache.runs[str(row.run_id)].cancel is CancelAction.INTERRUPT


def test_a_run_that_ended_stays_so_whatever_is_read_later():
    cache, row = make_cache(), running()
    cache.see_row(row)
    cache.end(str(row.run_id), RunStatus.SUCCESS, 1)
    cache.see_row(row)
    assert cache.runs == {}
    assert cache.ended == {"success": 1}


def test_a_report_of_a_newer_attempt_is_adopted():
    cache, row = make_cache(), head()
    cache.see_row(row)
    cache.see_report(cache.runners["r1"], told(row.run_id, 3, RUNNING))
    run = cache.runs[str(row.run_id)]
    assert (run.attempt, run.runner, run.holder, run.status) == (3, "r1", str(HOLDER), RunStatus.RUNNING)
    assert decision_about(cache, row.run_id) == Nothing()


@pytest.mark.parametrize(("state", "excused"), [(DRAINED, True), (ABANDONED, False)])
def test_a_run_that_its_runner_gave_back_goes_elsewhere(state, excused):
    cache, row = make_cache("r1", "r2"), running()
    cache.see_row(row)
    cache.runners["r1"].draining = True
    cache.see_report(cache.runners["r1"], told(row.run_id, 1, RUNNING))
    cache.see_report(cache.runners["r1"], told(row.run_id, 1, state))
    decision = decision_about(cache, row.run_id)
    assert isinstance(decision, Assign)
    assert (decision.runner, decision.attempt, decision.excused) == ("r2", 2, excused)


def test_a_list_without_the_run_means_that_its_runner_does_not_have_it():
    cache, row = make_cache(), running()
    cache.see_row(row)
    cache.see_report(cache.runners["r1"], told(row.run_id, 1, RUNNING))
    cache.queue.take(cache.runs)
    cache.see_list(cache.runners["r1"], [], opened_at=200.0)
    assert take_changed(cache) == {str(row.run_id)}
    assert isinstance(decision_about(cache, row.run_id), Assign)


def test_a_list_that_was_made_before_a_claim_was_accepted_says_nothing_of_it():
    cache, row = make_cache(), head()
    cache.see_row(row)
    run, runner = cache.runs[str(row.run_id)], cache.runners["r1"]
    cache.assigned(run, runner, 1, alone=False)
    cache.see_list(runner, [], opened_at=99.0)
    assert decision_about(cache, row.run_id) == Nothing()
    cache.accepted(run, runner, 1, time.time())
    cache.see_list(runner, [], opened_at=99.0)
    assert decision_about(cache, row.run_id) == Nothing()


def test_a_run_that_only_a_runner_knows_is_looked_up_and_stopped_when_it_has_ended():
    cache, row = make_cache(), running(status=RunStatus.TIMEOUT, attempt=2)
    runner = cache.runners["r1"]
    unknown = cache.see_list(runner, [told(row.run_id, 1, RUNNING)], opened_at=0.0)
    assert unknown == [str(row.run_id)]
    cache.see_row(row)
    assert isinstance(decision_about(cache, row.run_id), Abandon)


def test_a_run_whose_row_is_gone_is_stopped():
    cache, row = make_cache(), running()
    cache.see_row(row)
    cache.see_report(cache.runners["r1"], told(row.run_id, 1, RUNNING))
    cache.see_missing_row(str(row.run_id))
    assert isinstance(decision_about(cache, row.run_id), Abandon)


def test_ten_minutes_of_finished_runs_in_a_list_cost_nothing():
    cache = make_cache()
    old = [told(uuid4(), 1, FINISHED, RunStatus.SUCCESS) for _ in range(1000)]
    assert cache.see_list(cache.runners["r1"], old, opened_at=0.0) == []
    assert cache.runners["r1"].reports == {}
    assert cache.ended == {}


def test_a_runner_s_end_touches_its_runs_alone_and_says_whether_they_are_to_blame():
    cache, mine, other = make_cache("r1", "r2"), running(), running(runner="r2", holder=None)
    cache.see_row(mine)
    cache.see_row(other)
    cache.queue.take(cache.runs)
    cache.remove_runner("r1", excused=True)
    assert take_changed(cache) == {str(mine.run_id)}
    assert cache.runs[str(mine.run_id)].excused
    assert not cache.runs[str(other.run_id)].excused


def test_a_zombie_s_report_beside_the_new_attempt_is_abandoned():
    cache, row = make_cache("r1", "r2"), running()
    cache.see_row(row)
    cache.see_report(cache.runners["r1"], told(row.run_id, 1, RUNNING))
    cache.see_report(cache.runners["r2"], told(row.run_id, 2, RUNNING))
    decision = decision_about(cache, row.run_id)
    assert isinstance(decision, Abandon)
    assert (decision.runner, decision.attempt) == ("r1", 1)


def test_a_claim_that_is_accepted_after_the_run_went_elsewhere_is_abandoned_and_its_slot_comes_free():
    cache, row = make_cache("r1", "r2"), head()
    cache.see_row(row)
    run_id, displaced = str(row.run_id), cache.runners["r1"]
    before = cache.runs[run_id]
    cache.assigned(before, displaced, 1, alone=False)
    cache.assigned(cache.runs[run_id], cache.runners["r2"], 2, alone=False)  # r1 was silent for too long
    cache.queue.take(cache.runs)
    cache.accepted(before, displaced, 1, time.time())
    assert take_changed(cache) == {run_id}
    assert decision_about(cache, run_id) == Abandon("r1", 1, ANY)
    cache.see_list(displaced, [], 200.0)  # or its stream says first that it has nothing
    assert displaced.view.load == 0


def test_a_claim_that_is_accepted_after_the_run_s_end_does_not_bring_it_back():
    cache, row = make_cache("r1", "r2"), running(runner="r2", attempt=1)
    cache.see_row(row)
    run_id, runner = str(row.run_id), cache.runners["r1"]
    cache.see_report(cache.runners["r2"], told(run_id, 1, RUNNING))
    before = cache.runs[run_id]
    cache.assigned(before, runner, 2, alone=False)
    cache.see_report(runner, told(run_id, 2, FINISHED, RunStatus.SUCCESS))
    cache.accepted(before, runner, 2, time.time())
    assert cache.runs[run_id].status is RunStatus.SUCCESS
    assert not cache.not_accepted(before, runner, 2)
    assert decision_about(cache, run_id) == Abandon("r2", 1, ANY)


def test_the_end_of_a_run_wakes_the_next_of_its_thread_and_no_other():
    """Of a thousand that wait on one thread, each end would else be a thousand decisions and status writes."""
    cache, thread = make_cache(), uuid4()
    rows = [head(thread_id=thread, seq=seq) for seq in (3, 1, 2)]  # noticed in the wrong order
    for row in rows:
        cache.see_row(row)
    third, first, second = (str(row.run_id) for row in rows)
    assert [cache.runs[run_id].queued_behind for run_id in (first, second, third)] == [None, first, second]
    cache.queue.take(cache.runs)
    cache.end(first, RunStatus.SUCCESS, 1)
    assert take_changed(cache) == {second}
    assert [cache.runs[run_id].queued_behind for run_id in (second, third)] == [None, second]


def test_who_waits_behind_a_run_that_is_cancelled_waits_behind_the_one_before():
    cache, thread = make_cache(), uuid4()
    rows = [head(thread_id=thread, seq=seq) for seq in (1, 2, 3)]
    for row in rows:
        cache.see_row(row)
    first, second, third = (str(row.run_id) for row in rows)
    cache.end(second, RunStatus.CANCELLED, 1)
    assert [cache.runs[run_id].queued_behind for run_id in (first, third)] == [None, first]
    cache.end(third, RunStatus.CANCELLED, 1)
    assert cache.siblings(first) == []


def test_after_a_start_nobody_has_the_runs_and_nobody_is_to_blame():
    cache, row = make_cache("r2"), running()
    cache.see_row(row)
    cache.nobody_survived()
    cache.see_row(row)  # read again before the next claim
    decision = decision_about(cache, row.run_id)
    assert isinstance(decision, Assign)
    assert (decision.attempt, decision.excused) == (2, True)


def test_a_cancel_that_comes_while_the_claim_is_under_way_is_carried_out_when_it_has_committed():
    cache, row = make_cache(), head()
    cache.see_row(row)
    run, runner = cache.runs[str(row.run_id)], cache.runners["r1"]
    cache.assigned(run, runner, 1, alone=False)
    cache.see_row(head(row.run_id, cancel=CancelAction.INTERRUPT))
    cache.queue.take(cache.runs)
    assert decision_about(cache, row.run_id) == Nothing()
    cache.accepted(run, runner, 1, time.time())
    assert take_changed(cache) == {str(row.run_id)}


def test_a_run_lines_up_behind_one_that_the_database_has_before_it() -> None:
    """A thread may be called by its id and by a name, which only the database knows to be the same."""
    cache = make_cache()
    by_id, by_name, later = head(seq=5), head(seq=1), head(seq=2)
    later = replace(later, thread_id=by_name.thread_id)
    for row in (by_id, by_name, later):
        cache.see_row(row)
    first, second, third = (str(row.run_id) for row in (by_id, by_name, later))
    assert cache.put_behind(second, first)
    assert cache.runs[second].queued_behind == first
    assert cache.runs[third].queued_behind is None  # it asks as well, and is told
    assert cache.put_behind(third, first)
    assert set(cache.siblings(first)) == {second, third}
    cache.queue.take(cache.runs)
    cache.end(first, RunStatus.SUCCESS, 1)
    [woken] = take_changed(cache)
    [other] = {second, third} - {woken}
    assert [cache.runs[run_id].queued_behind for run_id in (woken, other)] == [None, woken]
    assert not cache.put_behind(second, str(uuid4()))
