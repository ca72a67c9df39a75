"""Postgres is restarted, or its postmaster killed, in the middle of runs: they wait, and go on as if nothing were."""

import asyncio
import json
from collections.abc import AsyncIterator
from signal import SIGINT, SIGKILL, Signals

import psutil
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database, is_transient
from relayrun_core.db.journal import END, Event, read_events
from relayrun_core.db.migrate import migrate
from relayrun_core.runs import Run
from relayrun_core.states import Reason
from relayrun_runner.langgraph_tables import setup
from tests.support.crash import Crash, settle, told, whole
from tests.support.pool import RunnerPool
from tests.support.postgres import scratch_folder
from tests.support.runner import RunnerSetup
from tests.support.waiting import until

pytestmark = [pytest.mark.crash, pytest.mark.slow]

RUNS = 6
TICKS = 30
TWO_WAYS = pytest.mark.parametrize("how", [SIGINT, SIGKILL], ids=["restarted", "postmaster killed"])


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[EmbeddedPostgres]:
    """A server that writes its log to the disk, as people's do, and that somebody starts again when it ends."""
    async with scratch_folder("restarts") as folder, EmbeddedPostgres(folder / ".relayrun") as server:
        await migrate(server.url)
        await setup(server.url)
        watching = asyncio.create_task(server.watch())
        yield server
        await settle(watching)


@pytest.fixture(scope="module")
async def runners(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunnerPool]:
    async with RunnerPool(RunnerSetup(server.url, tmp_path_factory.mktemp("restarts"))) as pool:
        yield pool


@pytest.fixture
async def world(server: EmbeddedPostgres, runners: RunnerPool) -> AsyncIterator[Crash]:
    async with Database.open(server.url, role="world") as database:
        crash = Crash(database, runners)
        yield crash
        await crash.close()


async def follow(database: Database, run: Run, seen: list[Event]) -> None:
    """Read a journal to its end, as a client does who reconnects after each loss of the connection."""
    while not seen or seen[-1].event != END:
        try:
            page = await read_events(database, run.run_id, seen[-1].seq if seen else -1)
        except Exception as error:
            if not is_transient(error):
                raise
            page = []
        seen.extend(page)
        if not page:
            await asyncio.sleep(0.02)  # readers poll


async def end(server: EmbeddedPostgres, how: Signals) -> None:
    """End the server in this way, and return when another one runs."""
    old = server.pid
    psutil.Process(old).send_signal(how)
    await until(lambda: server.pid != old)


@TWO_WAYS
async def test_runs_wait_for_postgres_and_repeat_nothing(world: Crash, server: EmbeddedPostgres, how: Signals) -> None:
    runners = [await world.take(), await world.take()]
    spec = {"input": {"upto": TICKS, "pause": 0.05}, "config": {"recursion_limit": 100}}
    runs = [await world.accept("ticks", **spec) for _ in range(RUNS)]
    for number, run in enumerate(runs):
        await world.start(run, runners[number % 2])
    seen: list[list[Event]] = [[] for _ in runs]
    async with asyncio.timeout(60), asyncio.TaskGroup() as readers:
        for run, events in zip(runs, seen, strict=True):
            readers.create_task(follow(world.database, run, events))
        await until(lambda: all(told(events)["tick"] > 5 for events in seen))
        await end(server, how)
        assert any(told(events)["tick"] < TICKS for events in seen), "they had ended before: this tests nothing"
    for run, events in zip(runs, seen, strict=True):
        ended = await world.read(run)
        assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 1)
        assert world.begun(run) == [f"tick {number}" for number in range(1, TICKS + 1)]
        assert events == await world.journal(run)
        assert told(events) == {"tick": TICKS}
        whole(events)


async def test_what_readers_saw_of_a_step_is_still_there_after_the_postmaster_was_killed(
    world: Crash, server: EmbeddedPostgres
) -> None:
    words = 300
    run = await world.accept("talk", input={"upto": words, "pause": 0.01})
    await world.start(run)
    seen: list[Event] = []
    async with asyncio.timeout(60), asyncio.TaskGroup() as readers:
        readers.create_task(follow(world.database, run, seen))
        await until(lambda: len(seen) > words / 4)
        await end(server, SIGKILL)
        assert seen[-1].event != END, "it had ended before: this tests nothing"
    assert (await world.read(run)).attempt == 1
    assert seen == await world.journal(run)
    assert [json.loads(event.data)["word"] for event in seen if event.event == "custom"] == list(range(words))
    whole(seen)


@TWO_WAYS
async def test_a_runner_killed_while_postgres_is_away_costs_an_attempt_and_repeats_nothing(
    world: Crash, server: EmbeddedPostgres, how: Signals
) -> None:
    run = await world.accept("line")
    world.hold(run, "b")
    runner = await world.start(run)
    await world.until_in(run, "b")
    psutil.Process(server.pid).send_signal(how)
    runner.kill()
    world.let_go(run, "b")

    ended = await world.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    assert world.begun(run) == ["a", "b", "b", "c", "d"]
    whole(await world.journal(run), attempts=2)
