"""kill -9 of a runner while branches run side by side, or inside a subgraph."""

import pytest

from relayrun_core.states import Reason
from tests.support.crash import Crash, told, whole
from tests.support.waiting import until, until_it_is

pytestmark = pytest.mark.crash


async def test_a_finished_branch_is_not_repeated_and_told_once_when_the_other_is_killed(crash: Crash) -> None:
    run = await crash.accept("fan", stream_modes=["updates"])
    crash.hold(run, "right")
    runner = await crash.start(run)

    async def left_is_told() -> bool:
        return told(await crash.journal(run))["left"] == 1

    await until_it_is(left_is_told)
    await until(
        lambda: any(note.what == "saved" and note.task == task_of(crash, run, "left") for note in crash.notes(run))
    )
    runner.kill()
    crash.let_go(run, "right")
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    assert sorted(crash.begun(run)) == ["join", "left", "right", "right", "start"]
    assert sorted((await crash.thread(run)).values["done"]) == ["join", "left", "right", "start"]
    journal = await crash.journal(run)
    assert told(journal) == {"start": 1, "left": 1, "right": 1, "join": 1}
    whole(journal, attempts=2)


async def test_a_branch_that_was_saved_just_before_the_kill_is_told_exactly_once(crash: Crash) -> None:
    run = await crash.accept("fan", stream_modes=["updates"])
    crash.hold(run, "right")
    crash.bomb(run, "saved-left")  # which may or may not be told by then
    runner = await crash.start(run)
    await until(lambda: not runner.alive)
    crash.let_go(run, "right")
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    assert crash.begun(run).count("left") == 1
    journal = await crash.journal(run)
    assert told(journal) == {"start": 1, "left": 1, "right": 1, "join": 1}
    whole(journal, attempts=2)


async def test_inside_a_subgraph_only_its_step_in_flight_is_repeated(crash: Crash) -> None:
    run = await crash.accept("nested", stream_modes=["updates"], stream_subgraphs=True)
    await crash.kill_in(run, "two")
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt, ended.failed_attempts) == (Reason.SUCCEEDED, 2, 0)
    assert crash.begun(run) == ["first", "one", "two", "two", "three", "last"]
    assert (await crash.thread(run)).values == {"done": ["first", "last"], "inner": ["one", "two", "three"]}
    journal = await crash.journal(run)
    assert told(journal) == dict.fromkeys(["first", "one", "two", "three", "inside", "last"], 1)
    whole(journal, attempts=2)


@pytest.mark.parametrize("nth", [1, 3, 4, 5])
async def test_no_step_of_a_subgraph_whose_checkpoint_was_saved_is_repeated(crash: Crash, nth: int) -> None:
    run = await crash.accept("nested", stream_modes=["updates"], stream_subgraphs=True)
    crash.bomb(run, "after-inner-checkpoint", nth=nth)  # two for its input, then one for each of its steps
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    assert crash.begun(run) == ["first", "one", "two", "three", "last"]
    assert (await crash.thread(run)).values == {"done": ["first", "last"], "inner": ["one", "two", "three"]}
    journal = await crash.journal(run)
    assert told(journal) == dict.fromkeys(["first", "one", "two", "three", "inside", "last"], 1)
    whole(journal, attempts=2)


def task_of(crash: Crash, run, step: str) -> str | None:
    return next(note.task for note in crash.notes(run) if note.step == step)
