"""kill -9 of a runner around `interrupt()` and its answers: no question is lost, and none gets another one's answer."""

import pytest

from relayrun_core.runs import Run
from relayrun_core.states import Reason, ThreadStatus
from tests.support.crash import Crash, whole

pytestmark = pytest.mark.crash


async def asked(crash: Crash, graph: str) -> Run:
    """A run that nobody killed and that waits for its answer."""
    run = await crash.accept(graph)
    ended = await crash.finish(run)
    assert ended.reason is Reason.WAITING_FOR_INPUT
    return ended


async def questions(crash: Crash, run: Run) -> list[str]:
    return sorted(entry.value for entry in (await crash.thread(run)).interrupts)


@pytest.mark.parametrize("point", ["after-writes", "before-finish"])
async def test_a_run_killed_at_its_question_waits_there_and_then_goes_on(crash: Crash, point: str) -> None:
    run = await crash.accept("ask")
    crash.bomb(run, point, nth=3 if point == "after-writes" else 1)  # the input's, plan's, and the question itself
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.WAITING_FOR_INPUT, 2)
    thread = await crash.thread(run)
    assert thread.status is ThreadStatus.INTERRUPTED
    assert [entry.value for entry in thread.interrupts] == ["ok?"]
    assert crash.begun(run) == ["plan"]
    whole(await crash.journal(run), attempts=2)
    resumed = await crash.accept("ask", thread=run.thread_id, command={"resume": "yes"})
    assert (await crash.finish(resumed)).reason is Reason.SUCCEEDED
    assert (await crash.thread(run)).values == {"done": ["plan", "act"], "answers": ["ok? yes"]}


@pytest.mark.parametrize("point", ["after-claim", "after-writes", "in-ask told", "after-checkpoint", "before-finish"])
async def test_an_answer_is_given_once_wherever_the_resumed_run_is_killed(crash: Crash, point: str) -> None:
    first = await asked(crash, "ask")
    run = await crash.accept("ask", thread=first.thread_id, command={"resume": "yes"})
    crash.bomb(run, point)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert ended.reason is Reason.SUCCEEDED
    assert (await crash.thread(run)).values == {"done": ["plan", "act"], "answers": ["ok? yes"]}
    assert crash.begun(run) == (["ask told", "ask told", "act"] if point == "in-ask told" else ["ask told", "act"])
    whole(await crash.journal(run), attempts=ended.attempt)


@pytest.mark.parametrize("point", ["after-writes", "in-left told", "before-finish"])
async def test_after_the_answer_to_one_of_two_tasks_the_other_still_waits_for_its_own(crash: Crash, point: str) -> None:
    first = await asked(crash, "ask_both")
    assert await questions(crash, first) == ["left?", "right?"]
    ids = {entry.value: entry.id for entry in (await crash.thread(first)).interrupts}
    run = await crash.accept("ask_both", thread=first.thread_id, command={"resume": {ids["left?"]: "L"}})
    crash.bomb(run, point)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert ended.reason is Reason.WAITING_FOR_INPUT
    assert await questions(crash, run) == ["right?"]
    assert "right told" not in crash.begun(run)
    last = await crash.accept("ask_both", thread=first.thread_id, command={"resume": "R"})
    assert (await crash.finish(last)).reason is Reason.SUCCEEDED
    values = (await crash.thread(last)).values
    assert sorted(values["answers"]) == ["left? L", "right? R"]
    crash.nothing_repeated(run)


@pytest.mark.parametrize("point", ["after-writes", "before-finish"])
async def test_the_second_question_of_a_node_is_not_answered_by_the_first_answer(crash: Crash, point: str) -> None:
    first = await asked(crash, "ask_twice")
    assert await questions(crash, first) == ["one?"]
    run = await crash.accept("ask_twice", thread=first.thread_id, command={"resume": "1"})
    crash.bomb(run, point)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert ended.reason is Reason.WAITING_FOR_INPUT
    assert await questions(crash, run) == ["two?"]
    last = await crash.accept("ask_twice", thread=first.thread_id, command={"resume": "2"})
    crash.bomb(last, point)
    assert (await crash.finish(last)).reason is Reason.SUCCEEDED
    thread = await crash.thread(last)
    assert thread.values == {"done": ["plan", "act"], "answers": ["one? 1", "two? 2"]}
    assert crash.begun(last).count("act") == 1


@pytest.mark.parametrize("point", ["after-writes", "in-ask told", "before-finish"])
async def test_answers_reach_the_questions_inside_of_a_subgraph(crash: Crash, point: str) -> None:
    first = await asked(crash, "ask_inside")
    run = await crash.accept("ask_inside", thread=first.thread_id, command={"resume": "yes"})
    crash.bomb(run, point)
    ended = await crash.finish(run)
    assert crash.went_off(run, point)
    assert ended.reason is Reason.WAITING_FOR_INPUT
    assert await questions(crash, run) == ["sure?"]
    last = await crash.accept("ask_inside", thread=first.thread_id, command={"resume": "very"})
    assert (await crash.finish(last)).reason is Reason.SUCCEEDED
    assert (await crash.thread(run)).values == {"done": ["plan", "act"], "answers": ["ok? yes", "sure? very"]}
    crash.nothing_repeated(run)
