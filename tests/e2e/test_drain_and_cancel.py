"""Runs that are stopped on purpose: by a drain they go on elsewhere, by a cancel they end."""

from signal import SIGTERM

import pytest

from relayrun_core.db.runs import request_cancel
from relayrun_core.runs import Run
from relayrun_core.states import CancelAction, Reason, RunStatus, ThreadStatus
from tests.support.crash import Crash, whole
from tests.support.runner import Runner
from tests.support.waiting import until

pytestmark = pytest.mark.crash

SAVED = """
SELECT checkpoint_ns, checkpoint_id, NULL AS task_id, NULL AS idx, NULL AS channel, NULL AS blob
FROM checkpoints WHERE thread_id = %(thread)s
UNION ALL SELECT checkpoint_ns, checkpoint_id, task_id, idx, channel, blob
FROM checkpoint_writes WHERE thread_id = %(thread)s
ORDER BY 1, 2, 3, 4"""


async def saved(crash: Crash, run: Run) -> list[dict[str, object]]:
    """The thread's checkpoints and pending writes."""
    return await crash.database.fetch_all(SAVED, {"thread": str(run.thread_id)})


async def running_in(crash: Crash, run: Run, step: str) -> Runner:
    """A runner in whose hands the run is in this step, and stays there."""
    crash.hold(run, step)
    runner = await crash.start(run)
    await crash.until_in(run, step)
    return runner


async def cancel(crash: Crash, run: Run, runner: Runner, action: CancelAction) -> None:
    await request_cancel(crash.database, run.run_id, action)
    assert (await runner.delete(run.run_id, 1, action.value)).status_code == 202


async def test_a_drained_run_is_reported_and_goes_on_elsewhere_with_its_next_step(crash: Crash) -> None:
    run = await crash.accept("line")
    runner = await running_in(crash, run, "b")
    runner.signal(SIGTERM)
    refused = await crash.accept("line")
    await until(lambda: "draining: " in runner.log.read_text())
    assert (await runner.put(refused.run_id, 1)).json()["reason"] == "Draining"
    crash.let_go(run, "b")
    await runner.reported(run.run_id, 1, "Drained")
    assert await runner.exit_code() == 0
    drained = await crash.read(run)
    assert (drained.status, drained.failed_attempts, drained.holder) == (RunStatus.PENDING, 0, None)
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt, ended.failed_attempts) == (Reason.SUCCEEDED, 2, 0)
    assert crash.begun(run) == ["a", "b", "c", "d"]
    whole(await crash.journal(run), attempts=2)
    assert (await crash.finish(refused)).reason is Reason.SUCCEEDED


async def test_a_drained_run_inside_a_subgraph_repeats_no_saved_step(crash: Crash) -> None:
    run = await crash.accept("nested")
    runner = await running_in(crash, run, "two")
    runner.signal(SIGTERM)
    await until(lambda: "draining: " in runner.log.read_text())
    crash.let_go(run, "two")
    assert await runner.exit_code() == 0
    ended = await crash.finish(run)
    assert (ended.reason, ended.failed_attempts) == (Reason.SUCCEEDED, 0)
    assert crash.begun(run) == ["first", "one", "two", "three", "last"]


async def test_a_cancelled_run_keeps_what_it_had_done_and_the_thread_can_go_on(crash: Crash) -> None:
    run = await crash.accept("line")
    runner = await running_in(crash, run, "b")
    await cancel(crash, run, runner, CancelAction.INTERRUPT)
    await runner.reported(run.run_id, 1, "Finished")
    ended = await crash.read(run)
    assert (ended.status, ended.reason) == (RunStatus.CANCELLED, Reason.CANCELLED)
    thread = await crash.thread(run)
    assert (thread.status, thread.values) == (ThreadStatus.INTERRUPTED, {"done": ["a"]})
    whole(await crash.journal(run))
    onward = await crash.accept("line", thread=run.thread_id, input=None)
    assert (await crash.finish(onward)).reason is Reason.SUCCEEDED
    assert crash.begun(onward) == ["b", "c", "d"]


async def test_a_rollback_leaves_no_trace_of_a_first_run(crash: Crash) -> None:
    run = await crash.accept("line")
    runner = await running_in(crash, run, "b")
    await cancel(crash, run, runner, CancelAction.ROLLBACK)
    await runner.reported(run.run_id, 1, "Finished")
    assert (await crash.read(run)).status is RunStatus.CANCELLED
    assert await saved(crash, run) == []
    again = await crash.accept("line", thread=run.thread_id)
    assert (await crash.finish(again)).reason is Reason.SUCCEEDED
    assert (await crash.thread(run)).values == {"done": ["a", "b", "c", "d"]}


@pytest.mark.parametrize(("graph", "before"), [("ask", []), ("ask_twice", ["1"]), ("ask_inside", ["1"])])
async def test_a_rollback_of_an_answered_run_brings_its_question_back(
    crash: Crash, graph: str, before: list[str]
) -> None:
    first = await crash.accept(graph)
    assert (await crash.finish(first)).reason is Reason.WAITING_FOR_INPUT
    for answer in before:
        run = await crash.accept(graph, thread=first.thread_id, command={"resume": answer})
        assert (await crash.finish(run)).reason is Reason.WAITING_FOR_INPUT
    base, asked = await saved(crash, first), (await crash.thread(first)).interrupts
    run = await crash.accept(graph, thread=first.thread_id, command={"resume": "no"})
    runner = await running_in(crash, run, "act")
    assert await saved(crash, first) != base
    await cancel(crash, run, runner, CancelAction.ROLLBACK)
    await runner.reported(run.run_id, 1, "Finished")
    assert await saved(crash, first) == base
    thread = await crash.thread(first)
    assert (thread.status, thread.interrupts) == (ThreadStatus.INTERRUPTED, asked)
    yes = await crash.accept(graph, thread=first.thread_id, command={"resume": "yes"})
    assert (await crash.finish(yes)).reason is Reason.SUCCEEDED
    answers = (await crash.thread(first)).values["answers"]
    assert [answer.split()[-1] for answer in answers] == [*before, "yes"]


async def test_a_cancel_wins_over_a_runner_that_was_killed_before_it_heard_of_it(crash: Crash) -> None:
    run = await crash.accept("line")
    runner = await running_in(crash, run, "b")
    await request_cancel(crash.database, run.run_id, CancelAction.INTERRUPT)
    runner.kill()
    response = await (await crash.take()).put(run.run_id, 2)
    assert (response.status_code, response.json()["outcome"]["status"]) == (200, "cancelled")
    assert crash.begun(run) == ["a", "b"]


async def test_a_sync_node_that_never_returns_is_cancelled_with_its_process_and_its_neighbour_goes_on(
    crash: Crash,
) -> None:
    stuck, neighbour = await crash.accept("line"), await crash.accept("line")
    runner = await running_in(crash, stuck, "c")
    crash.hold(neighbour, "b")
    await crash.start(neighbour, runner)
    await crash.until_in(neighbour, "b")
    await cancel(crash, stuck, runner, CancelAction.INTERRUPT)
    assert await runner.exit_code() == 70
    ended = await crash.read(stuck)
    assert (ended.status, ended.reason) == (RunStatus.CANCELLED, Reason.CANCELLED)
    crash.let_go(neighbour, "b")
    other = await crash.finish(neighbour)
    assert (other.reason, other.failed_attempts) == (Reason.SUCCEEDED, 0)
    assert crash.begun(neighbour) == ["a", "b", "b", "c", "d"]
    whole(await crash.journal(stuck))
