"""kill -9 of a runner anywhere along a row of steps: the run goes on elsewhere, and no checkpointed step again."""

import pytest

from relayrun_core.states import Reason
from tests.support.crash import Crash, told, whole

pytestmark = pytest.mark.crash

ALL = ["a", "b", "c", "d"]


async def test_a_run_that_nobody_kills_takes_one_attempt_and_does_each_step_once(crash: Crash) -> None:
    run = await crash.accept("line")
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 1)
    assert crash.begun(run) == ALL
    whole(await crash.journal(run))


async def test_a_runner_killed_just_before_its_claim_commits_costs_nothing(crash: Crash) -> None:
    run = await crash.accept("line")
    crash.bomb(run, "before-claim")
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt, ended.failed_attempts) == (Reason.SUCCEEDED, 2, 0)
    assert crash.begun(run) == ALL
    whole(await crash.journal(run), attempts=2)


async def test_a_runner_killed_just_after_its_claim_was_a_barren_attempt_and_the_run_begins_afresh(
    crash: Crash,
) -> None:
    run = await crash.accept("line")
    crash.bomb(run, "after-claim")
    ended = await crash.finish(run)
    # The second number was spent on learning that the run backs off.
    assert (ended.reason, ended.attempt, ended.failed_attempts) == (Reason.SUCCEEDED, 3, 1)
    assert crash.begun(run) == ALL
    whole(await crash.journal(run), attempts=3)


async def test_only_the_step_in_which_the_runner_was_killed_is_repeated(crash: Crash) -> None:
    run = await crash.accept("line")
    await crash.kill_in(run, "a")
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt, ended.failed_attempts) == (Reason.SUCCEEDED, 2, 0)
    assert crash.begun(run) == ["a", *ALL]
    assert (await crash.thread(run)).values == {"done": ALL}
    journal = await crash.journal(run)
    assert told(journal) == dict.fromkeys(ALL, 1)
    whole(journal, attempts=2)


@pytest.mark.parametrize("nth", [1, 3, 5])
async def test_a_step_whose_checkpoint_was_saved_is_never_repeated(crash: Crash, nth: int) -> None:
    run = await crash.accept("line")
    crash.bomb(run, "after-checkpoint", nth=nth)  # the first one is the input's
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt, ended.failed_attempts) == (Reason.SUCCEEDED, 2, 0)
    assert crash.begun(run) == ALL
    assert (await crash.thread(run)).values == {"done": ALL}
    journal = await crash.journal(run)
    assert told(journal) == dict.fromkeys(ALL, 1)
    whole(journal, attempts=2)


@pytest.mark.parametrize("nth", [2, 4])
async def test_a_step_whose_writes_were_saved_is_not_repeated_though_its_checkpoint_was_not(
    crash: Crash, nth: int
) -> None:
    run = await crash.accept("line")
    crash.bomb(run, "before-checkpoint", nth=nth)
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    crash.nothing_repeated(run)
    assert (await crash.thread(run)).values == {"done": ALL}
    journal = await crash.journal(run)
    assert set(told(journal)) == set(ALL)
    whole(journal, attempts=2)


@pytest.mark.parametrize("point", ["before-finish", "after-finish"])
async def test_a_run_killed_around_its_finish_repeats_nothing_and_is_finished_once(crash: Crash, point: str) -> None:
    run = await crash.accept("line")
    crash.bomb(run, point)
    ended = await crash.finish(run)
    attempts = 2 if point == "before-finish" else 1
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, attempts)
    assert crash.begun(run) == ALL
    assert (await crash.thread(run)).values == {"done": ALL}
    journal = await crash.journal(run)
    assert told(journal) == dict.fromkeys(ALL, 1)
    whole(journal, attempts=attempts)


async def test_a_run_goes_on_after_one_kill_in_each_of_its_steps(crash: Crash) -> None:
    run = await crash.accept("line")
    for attempt, step in enumerate(ALL, start=1):
        crash.hold(run, step)
        runner = await crash.start(run, attempt=attempt)
        await crash.until_in(run, step)
        runner.kill()
        crash.let_go(run, step)
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt, ended.failed_attempts) == (Reason.SUCCEEDED, 5, 0)
    assert crash.begun(run) == sorted(ALL * 2)
    journal = await crash.journal(run)
    assert told(journal) == dict.fromkeys(ALL, 1)
    whole(journal, attempts=5)


@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_a_run_that_saves_less_often_repeats_more_and_ends_the_same(crash: Crash, durability: str) -> None:
    run = await crash.accept("line", durability=durability)
    await crash.kill_in(run, "c")
    ended = await crash.finish(run)
    assert ended.reason is Reason.SUCCEEDED
    assert crash.begun(run)[-2:] == ["c", "d"]
    crash.nothing_repeated(run)
    assert (await crash.thread(run)).values == {"done": ALL}
    whole(await crash.journal(run), attempts=ended.attempt)
