"""Runs whose graph raises, or returns what a database can not hold: they end, and nothing else suffers."""

import json

import pytest

from relayrun_core.states import Reason, RunStatus, ThreadStatus
from tests.support.crash import Crash, whole

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_graph_error_tells_what_was_raised_in_which_node_and_attempt(crash: Crash, attempt: int) -> None:
    run = await crash.accept("broken", input={"kind": "strange"})
    if attempt == 2:
        await crash.kill_in(run, "fail")
    ended = await crash.finish(run)
    assert (ended.status, ended.reason, ended.attempt) == (RunStatus.ERROR, Reason.GRAPH_ERROR, attempt)
    error = ended.error or {}
    assert (error["error"], error["message"]) == ("ValueError", "no such kind: strange")
    assert (error["node"], error["attempt"]) == ("fail", attempt)
    assert error["checkpoint_id"] == ended.checkpoint_id
    assert "odd.py" in error["traceback"]
    assert "raise ValueError" in error["traceback"]
    assert "strange" not in (ended.message or ""), "a message may hold a user's text"
    thread = await crash.thread(run)
    assert (thread.status, thread.values) == (ThreadStatus.ERROR, {"kind": "strange", "text": "fine"})
    journal = await crash.journal(run)
    whole(journal, attempts=attempt)
    assert journal[-2].event == "error"
    assert json.loads(journal[-2].data) == {"error": "ValueError", "message": "no such kind: strange"}
    assert "after" not in crash.begun(run)


@pytest.mark.parametrize("kind", ["nul", "surrogate", "both"])
async def test_text_that_a_database_can_not_hold_ends_its_run_and_no_other(crash: Crash, kind: str) -> None:
    run, neighbour = await crash.accept("odd", input={"kind": kind}), await crash.accept("line")
    crash.hold(neighbour, "b")
    runner = await crash.start(neighbour)
    await crash.start(run, runner)
    ended = await crash.finish(run, runner)
    assert (ended.reason, ended.attempt) in ((Reason.GRAPH_ERROR, 1), (Reason.SUCCEEDED, 1))
    assert crash.begun(run)[:2] == ["prepare", "write"]
    whole(await crash.journal(run))
    crash.let_go(neighbour, "b")
    other = await crash.finish(neighbour, runner)
    assert (other.reason, other.attempt) == (Reason.SUCCEEDED, 1)
    fresh = await crash.accept("odd", input={"kind": kind}, thread=run.thread_id, interrupt_before=["write"])
    assert (await crash.finish(fresh)).reason is Reason.WAITING_FOR_INPUT, "the thread can not be used any more"
