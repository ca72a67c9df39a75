"""The local world with real runner processes: what dies, and what goes on."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.states import Reason, RunStatus
from tests.operator.worlds import Play, local_world
from tests.support.postgres import fresh_database
from tests.support.waiting import until

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
async def play(tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres) -> AsyncIterator[Play]:
    """One world for the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("world")
    async with fresh_database(postgres) as url, local_world(folder, url, slots=2) as play:
        yield play


@pytest.fixture
def mark() -> str:
    """Tells this test's traces and gates from others'."""
    return uuid4().hex[:8]


async def test_an_interrupting_run_cancels_the_one_before_it(play: Play, mark: str):
    thread = uuid4()
    running = await play.start_run(thread=thread, name=mark, gate=mark)
    await play.until_traced(mark, "second")
    waiting = await play.start_run(thread=thread)
    newest = await play.start_run(thread=thread, gate="", spec={"multitask_strategy": "interrupt"})
    assert (await play.until_finished(newest)).status is RunStatus.SUCCESS
    assert (await play.run(running)).status is RunStatus.CANCELLED
    assert (await play.run(waiting)).status is RunStatus.CANCELLED


async def test_runs_are_executed_and_the_api_is_told_where_the_runners_are(tmp_path: Path, database_url: str):
    async with local_world(tmp_path, database_url) as play:
        run = await play.until_finished(await play.start_run())
        assert (run.status, run.attempt) == (RunStatus.SUCCESS, 1)
        # Written a moment after the world itself knows.
        await until(lambda: [entry["ready"] for entry in play.listed()["runners"]] == [True, True])
        listed = play.listed()
        assert listed["desired"] == 2
        assert {tuple(entry["graphs"]) for entry in listed["runners"]} == {("steps",)}
        assert listed["problems"] == []
        assert {(entry["state"], entry["slots"], entry["generation"]) for entry in listed["runners"]} == {
            ("ready", play.settings.slots, 0)
        }
        assert listed["agent"] == {"name": play.settings.agent, "generation": "0", "deaths": []}
        died = play.world.snapshot()["runners"][0]
        os.kill(died["pid"], signal.SIGKILL)
        await until(lambda: play.listed()["agent"]["deaths"] != [])
        [death] = play.listed()["agent"]["deaths"]
        assert (death["runner"], death["reason"]) == (died["name"], "killed by signal 9")
    assert not (tmp_path / "runners.json").exists()


async def test_after_a_restart_of_everything_the_runs_go_on_and_no_attempt_is_held_against_them(
    tmp_path: Path, database_url: str
):
    async with local_world(tmp_path, database_url, stop_seconds=0.0) as play:
        run_id = await play.start_run(name="x", gate="gate")
        await play.until_traced("x", "second")
        await play.stop()
        assert (await play.run(run_id)).status is RunStatus.RUNNING
        await play.restart()
        await play.until_traced("x", "second", times=2)
        play.open_gate()
        run = await play.until_finished(run_id)
        assert (run.status, run.attempt, run.failed_attempts) == (RunStatus.SUCCESS, 2, 0)
        assert len(play.traces("x", "first")) == 1


async def test_a_stopped_world_gives_its_runs_back(tmp_path: Path, database_url: str):
    async with local_world(tmp_path, database_url, stop_seconds=10.0) as play:
        run_id = await play.start_run(name="x", gate="gate")
        await play.until_traced("x", "second")
        stopping = asyncio.create_task(play.stop())
        await asyncio.sleep(0.1)  # it is told to drain before its step ends
        play.open_gate()
        await stopping
        run = await play.run(run_id)
        assert run.status in (RunStatus.PENDING, RunStatus.SUCCESS)


async def test_new_code_takes_over_when_it_is_ready_and_the_runs_go_on_in_it(play: Play, mark: str):
    run_id = await play.start_run(name=mark, gate=mark)
    await play.until_traced(mark, "second")
    old = {runner["name"] for runner in play.runners}
    play.set_version('"two"')
    assert await play.world.reload() is None
    play.open_gate(mark)
    await until(lambda: not old & {runner["name"] for runner in play.runners})
    run = await play.until_finished(run_id)
    assert run.status is RunStatus.SUCCESS
    after = await play.until_finished(await play.start_run(name=f"{mark}y"))
    assert after.runner not in old
    await play.until_ready(2)


async def test_broken_code_is_told_and_the_old_code_keeps_serving(play: Play):
    old = {runner["name"] for runner in play.ready_runners}
    play.set_version("undefined_name")
    problem = await play.world.reload()
    assert problem is not None
    assert "undefined_name" in problem
    assert {runner["name"] for runner in play.ready_runners} == old
    run = await play.until_finished(await play.start_run())
    assert run.runner in old
    await until(lambda: play.listed()["problems"] != [])
    play.set_version('"three"')
    assert await play.world.reload() is None
    await until(lambda: not old & {runner["name"] for runner in play.runners})
    assert play.world.problems == ()
    await play.until_ready(2)


async def test_a_frozen_runner_is_given_up_and_what_it_still_does_afterwards_counts_for_nothing(
    tmp_path: Path, database_url: str
):
    async with local_world(tmp_path, database_url, runners=3) as play:
        run_id = await play.start_run(name="x", gate="gate")
        await play.until_traced("x", "second")
        frozen = (await play.run(run_id)).runner
        play.signal(frozen, signal.SIGSTOP)
        await play.until_traced("x", "second", times=2)
        assert (await play.run(run_id)).attempt == 2
        play.signal(frozen, signal.SIGCONT)
        await until(lambda: load_of(play, frozen) == 0)
        assert [runner["name"] for runner in play.runners].count(frozen) == 1
        play.open_gate()
        run = await play.until_finished(run_id)
        assert (run.status, run.attempt) == (RunStatus.SUCCESS, 2)


async def test_a_debugged_runner_is_never_given_up(tmp_path: Path, database_url: str):
    async with local_world(tmp_path, database_url, debugging=True, lost_after_seconds=2.5) as play:
        run_id = await play.start_run(name="x", gate="gate")
        await play.until_traced("x", "second")
        runner = (await play.run(run_id)).runner
        play.signal(runner, signal.SIGSTOP)
        await asyncio.sleep(5)  # longer than any other runner may be silent
        assert play.world.snapshot()["runners_lost"] == 0
        play.signal(runner, signal.SIGCONT)
        play.open_gate()
        run = await play.until_finished(run_id)
        assert (run.status, run.attempt) == (RunStatus.SUCCESS, 1)


async def test_a_world_that_was_paused_gives_up_nobody(play: Play, mark: str):
    lost = play.world.snapshot()["runners_lost"]
    run_id = await play.start_run(name=mark, gate=mark)
    await play.until_traced(mark, "second")
    time.sleep(13)  # nothing of ours runs meanwhile; the runners go on
    await asyncio.sleep(2)  # several ticks
    assert play.world.snapshot()["runners_lost"] == lost
    play.open_gate(mark)
    assert (await play.until_finished(run_id)).attempt == 1


@pytest.mark.timeout(300)  # five starts of a runner, one after the other, on a busy machine
async def test_a_run_that_kills_its_process_fails_alone(tmp_path: Path, database_url: str):
    async with local_world(tmp_path, database_url, runners=2, slots=10) as play:
        spec = {"backoff_limit": 1}
        others = [await play.start_run(name=f"n{n}", gate="gate", spec=spec) for n in range(9)]
        for n in range(9):
            await play.until_traced(f"n{n}", "second")
        poison = await play.start_run(name="p", poison=True, spec=spec)
        await play.until_traced("p", "first")
        play.open_gate("kill")
        await play.until_traced("p", "first", times=2)
        play.open_gate()
        run = await play.until_finished(poison, seconds=200)
        assert (run.status, run.reason) == (RunStatus.ERROR, Reason.BACKOFF_LIMIT_EXCEEDED)
        done = [await play.until_finished(run_id) for run_id in others]
        assert {run.status for run in done} == {RunStatus.SUCCESS}


def load_of(play: Play, name: str | None) -> int:
    return sum(runner["load"] for runner in play.runners if runner["name"] == name)


async def test_runners_that_are_killed_before_they_are_ready_are_replaced_and_the_code_is_not_to_blame(
    tmp_path: Path, database_url: str
):
    async with local_world(tmp_path, database_url, runners=1) as play:
        for _ in range(6):
            [killed] = play.runners
            play.signal(killed["name"], signal.SIGKILL)
            await until(lambda killed=killed: [r["name"] for r in play.runners] not in ([], [killed["name"]]))
            assert play.world.problems == ()
        await play.until_ready(1)


async def test_code_that_ends_its_process_is_tried_again_until_it_does_not(tmp_path: Path, database_url: str):
    async with local_world(tmp_path, database_url, runners=1) as play:
        play.set_version("'two' if (HERE / 'mended').exists() else os._exit(3)")
        problem = await play.world.reload()
        assert problem is not None
        assert "ended before it was ready, exit code 3" in problem
        assert [runner["generation"] for runner in play.ready_runners] == [0]
        (play.folder / "mended").touch()
        await until(lambda: [runner["generation"] for runner in play.ready_runners] == [1], seconds=90)
        assert play.world.problems == ()


async def test_the_runner_of_a_run_past_its_deadline_is_told_once_to_stop(play: Play, mark: str):
    abandoned = play.world.snapshot()["decisions"].get("abandon", 0)
    run_id = await play.start_run(name=mark, gate=mark, spec={"active_deadline_seconds": 1})
    assert (await play.until_finished(run_id)).status is RunStatus.TIMEOUT
    await until(lambda: play.load == 0)
    assert play.world.snapshot()["decisions"]["abandon"] == abandoned + 1
