"""kill -9 of a runner at `interrupt_before` and `interrupt_after`: the node that waits for approval never runs."""

from typing import Any

import pytest

from relayrun_core.states import Reason, ThreadStatus
from tests.support.crash import Crash, whole

pytestmark = pytest.mark.crash

WAYS = {
    "compiled, before": ("guarded", {}),
    "compiled, after": ("checked", {}),
    "of the run, before": ("line", {"interrupt_before": ["c"]}),
    "of the run, after": ("line", {"interrupt_after": ["b"]}),
}


@pytest.mark.parametrize(("graph", "spec"), WAYS.values(), ids=WAYS)
# It pauses at its fourth checkpoint: two are the input's, then come a's and b's.
@pytest.mark.parametrize(("point", "nth"), [("after-checkpoint", 4), ("before-finish", 1)])
async def test_a_run_killed_at_a_breakpoint_waits_there_and_goes_on_when_told(
    crash: Crash, graph: str, spec: dict[str, Any], point: str, nth: int
) -> None:
    run = await crash.accept(graph, **spec)
    crash.bomb(run, point, nth=nth)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert (ended.reason, ended.attempt) == (Reason.WAITING_FOR_INPUT, 2)
    assert crash.begun(run) == ["a", "b"]
    thread = await crash.thread(run)
    assert (thread.status, thread.values) == (ThreadStatus.INTERRUPTED, {"done": ["a", "b"]})
    whole(await crash.journal(run), attempts=2)
    approved = await crash.accept(graph, thread=run.thread_id, input=None)
    assert (await crash.finish(approved)).reason is Reason.SUCCEEDED
    assert crash.begun(approved) == ["c", "d"]


async def test_a_run_killed_before_every_node_of_a_run_that_stops_at_each_runs_each_once(crash: Crash) -> None:
    run = await crash.accept("line", interrupt_before="*")
    thread = run.thread_id
    for step in (None, "a", "b"):
        crash.bomb(run, "before-finish")
        ended = await crash.finish(run)
        assert (ended.reason, ended.attempt) == (Reason.WAITING_FOR_INPUT, 2)
        assert crash.begun(run) == ([step] if step else [])
        run = await crash.accept("line", thread=thread, input=None, interrupt_before="*")


async def test_approval_is_not_asked_for_again_when_the_approved_node_is_killed(crash: Crash) -> None:
    waiting = await crash.accept("guarded")
    assert (await crash.finish(waiting)).reason is Reason.WAITING_FOR_INPUT
    run = await crash.accept("guarded", thread=waiting.thread_id, input=None)
    await crash.kill_in(run, "c")
    ended = await crash.finish(run)
    assert ended.reason is Reason.SUCCEEDED
    assert crash.begun(run) == ["c", "c", "d"]
