"""What both worlds do with runs and runners: the same scenarios, with real runner processes, in each of them."""

import signal
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.states import Reason, RunStatus
from tests.operator.kubeworld import kube_world
from tests.operator.worlds import AnyPlay, local_world
from tests.support.postgres import fresh_database
from tests.support.waiting import until

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module", params=["local", "kubernetes"])
async def play(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres
) -> AsyncIterator[AnyPlay]:
    """One world for the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp(request.param)
    world = {"local": local_world, "kubernetes": kube_world}[request.param]
    async with fresh_database(postgres) as url, world(folder, url, slots=2) as play:
        yield play


@pytest.fixture
def mark() -> str:
    """Tells this test's traces and gates from others'."""
    return uuid4().hex[:8]


async def test_runs_of_a_thread_go_one_after_the_other_in_their_order(play: AnyPlay, mark: str):
    thread = uuid4()
    names = [f"{mark}{n}" for n in range(5)]
    runs = [await play.start_run(thread=thread, name=name) for name in names]
    done = [await play.until_finished(run_id) for run_id in runs]
    assert {run.status for run in done} == {RunStatus.SUCCESS}
    ends = [run.finished_at for run in done]
    assert ends == sorted(ends)
    starts = [run.started_at for run in done]
    assert all(start >= end for start, end in zip(starts[1:], ends[:-1], strict=True))


async def test_more_runs_than_slots_wait_and_all_finish(play: AnyPlay, mark: str):
    runs = [await play.start_run(name=f"{mark}{n}", gate=mark) for n in range(10)]
    await until(lambda: play.waiting == 6)
    assert play.load == 4
    play.open_gate(mark)
    done = [await play.until_finished(run_id) for run_id in runs]
    assert {(run.status, run.attempt) for run in done} == {(RunStatus.SUCCESS, 1)}
    await until(lambda: play.unfinished == 0)  # the world hears of the last a moment later


async def test_a_running_run_is_cancelled_by_its_runner_and_a_queued_one_at_once(play: AnyPlay, mark: str):
    thread = uuid4()
    running = await play.start_run(thread=thread, name=mark, gate=mark)
    queued = await play.start_run(thread=thread)
    await play.until_traced(mark, "second")
    await play.cancel(queued)
    assert (await play.run(queued)).status is RunStatus.CANCELLED
    await play.cancel(running)
    assert (await play.until_finished(running)).reason is Reason.CANCELLED


async def test_a_run_of_a_graph_that_nobody_has_is_invalid(play: AnyPlay):
    run = await play.until_finished(await play.start_run(graph="refund"))
    assert (run.status, run.reason) == (RunStatus.ERROR, Reason.INVALID_RUN)
    assert run.message == f"agent {play.agent} offers no graph refund; it offers: steps"


async def test_a_killed_runner_s_run_goes_on_at_once_on_the_other_one(play: AnyPlay, mark: str):
    run_id = await play.start_run(name=mark, gate=mark)
    await play.until_traced(mark, "second")
    before = await play.run(run_id)
    play.signal(before.runner, signal.SIGKILL)
    await play.until_traced(mark, "second", times=2)
    after = await play.run(run_id)
    assert (after.attempt, after.failed_attempts) == (2, 0)
    assert after.runner != before.runner
    play.open_gate(mark)
    assert (await play.until_finished(run_id)).status is RunStatus.SUCCESS
    assert len(play.traces(mark, "first")) == 1
    await play.until_ready(2)


async def test_a_run_past_its_deadline_is_ended_from_outside_and_its_runner_stops_it(play: AnyPlay, mark: str):
    run_id = await play.start_run(name=mark, gate=mark, spec={"active_deadline_seconds": 1})
    run = await play.until_finished(run_id)
    assert (run.status, run.reason) == (RunStatus.TIMEOUT, Reason.DEADLINE_EXCEEDED)
    await until(lambda: play.load == 0)


async def test_losing_every_connection_to_the_database_loses_no_run(play: AnyPlay, mark: str):
    runs = [await play.start_run(name=f"{mark}{n}", gate=mark) for n in range(6)]
    await play.until_traced(f"{mark}0", "second")
    await play.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    play.open_gate(mark)
    done = [await play.until_finished(run_id) for run_id in runs]
    assert {(run.status, run.attempt) for run in done} == {(RunStatus.SUCCESS, 1)}
