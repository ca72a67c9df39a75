"""Runners whose clocks differ: whoever goes on with a run goes on from its last step, whatever the time is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from relayrun_core.runs import Run
from relayrun_core.states import Reason
from tests.support.crash import Crash, whole
from tests.support.pool import RunnerPool
from tests.support.runner import Runner

pytestmark = pytest.mark.crash

IDS = "SELECT checkpoint_id, metadata ->> 'step' AS step FROM checkpoints WHERE thread_id = %s AND checkpoint_ns = ''"


@pytest.fixture(scope="module")
async def ahead(pool: RunnerPool) -> AsyncIterator[RunnerPool]:
    """Runners whose clock is a day ahead: to them, all others are behind."""
    async with RunnerPool(replace(pool.setup, more={"CRASH_CLOCK_AHEAD": "86400"}), spare=1, name="ahead") as runners:
        yield runners


async def killed_in(crash: Crash, run: Run, step: str, runner: Runner, *, attempt: int) -> None:
    """Have the runner claim the run, and kill -9 it in this step."""
    crash.hold(run, step)
    await crash.start(run, runner, attempt=attempt)
    await crash.until_in(run, step)
    runner.kill()
    crash.let_go(run, step)


@pytest.mark.parametrize(
    ("graph", "first", "second", "begun"),
    [
        ("line", "b", "d", ["a", "b", "b", "c", "d", "d"]),
        ("nested", "one", "three", ["first", "one", "one", "two", "three", "three", "last"]),
    ],
)
async def test_a_runner_whose_clock_is_behind_repeats_nothing_and_its_steps_are_not_repeated(
    crash: Crash, ahead: RunnerPool, graph: str, first: str, second: str, begun: list[str]
) -> None:
    run = await crash.accept(graph)
    await killed_in(crash, run, first, await ahead.take(), attempt=1)
    await killed_in(crash, run, second, await crash.take(), attempt=2)
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 3)
    assert crash.begun(run) == begun
    crash.nothing_repeated(run)
    whole(await crash.journal(run), attempts=3)


async def test_the_next_run_of_a_thread_goes_on_from_what_a_runner_in_the_future_left(
    crash: Crash, ahead: RunnerPool
) -> None:
    first = await crash.accept("line")
    await crash.finish(first, await crash.start(first, await ahead.take()))
    second = await crash.accept("line", thread=first.thread_id)
    runner = await crash.start(second)
    await crash.finish(second, runner)
    thread = await crash.thread(second)
    assert thread.values["done"] == [*"abcd", *"abcd"]
    rows = await crash.database.fetch_all(IDS, (str(first.thread_id),))
    steps = [int(row["step"]) for row in sorted(rows, key=lambda row: row["checkpoint_id"])]
    assert steps == list(range(-1, len(steps) - 1)), "the order of ids is not that of steps"
    assert "one of the clocks is wrong" in runner.log.read_text()
