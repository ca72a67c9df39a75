"""All behind a PgBouncer in transaction mode: runs, streams, crashes, cancels, searches, and the end of Postgres."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from signal import SIGKILL
from uuid import UUID

import httpx
import psycopg
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.journal import END, Event
from relayrun_core.db.migrate import migrate
from relayrun_core.db.notify import EVENTS_CHANNEL, Listener, notify
from relayrun_core.db.runs import get_run
from relayrun_core.errors import NeedsDirectConnection
from relayrun_core.states import Reason
from relayrun_runner.langgraph_tables import setup
from tests.api.process import ApiProcess, api_process
from tests.e2e.test_postgres_restarts import end, follow
from tests.support.crash import Crash, settle, told, whole
from tests.support.pgbouncer import NEW, OLD, Release, pgbouncer, require
from tests.support.pool import RunnerPool
from tests.support.postgres import scratch_folder
from tests.support.reading import events
from tests.support.runner import RunnerSetup
from tests.support.waiting import until

pytestmark = [pytest.mark.crash, pytest.mark.slow]

TICKS = 30
SPEC = {"input": {"upto": TICKS, "pause": 0.02}, "config": {"recursion_limit": 100}}


@dataclass(frozen=True)
class Behind:
    """What is behind the pooler."""

    server: EmbeddedPostgres
    pooled: str
    api: ApiProcess
    http: httpx.AsyncClient
    crash: Crash


@pytest.fixture(scope="module", params=[OLD, NEW], ids=lambda release: release.name)
def release(request: pytest.FixtureRequest) -> Release:
    require(request.config, request.param)
    found: Release = request.param
    return found


@pytest.fixture(scope="module")
async def behind(release: Release, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    more = {"RELAYRUN_DATABASE_PREPARED_STATEMENTS": "true"} if release.prepares else {}
    settings = {name.removeprefix("RELAYRUN_").lower(): value for name, value in more.items()}
    async with scratch_folder("pooled") as folder, EmbeddedPostgres(folder / ".relayrun") as server:
        await migrate(server.url)
        await setup(server.url)
        watching = asyncio.create_task(server.watch())
        async with (
            pgbouncer(release, server, "relayrun") as pooled,
            RunnerPool(RunnerSetup(pooled, tmp_path_factory.mktemp("pooled"), more=more)) as runners,
            Database.open(pooled, role="world") as database,
            api_process(pooled, database_direct_url=server.url, **settings) as api,
            httpx.AsyncClient(base_url=api.url, timeout=60) as http,
        ):
            runners.give_back(await runners.take())  # it has registered its graphs
            crash = Crash(database, runners)
            yield Behind(server, pooled, api, http, crash)
            await crash.close()
        await settle(watching)


async def test_nothing_is_left_in_sessions_and_statements_are_prepared_where_that_works(
    behind: Behind, release: Release
) -> None:
    """Whoever gets a backend after us finds it as it was."""
    for _ in range(3):
        run = await behind.crash.accept("ticks", **SPEC)
        await behind.crash.finish(run)
        assert (await behind.http.post("/threads/search", json={})).is_success
    asked = "SELECT count(*), count(*) FILTER (WHERE name LIKE 'PGBOUNCER%') FROM pg_prepared_statements"
    names = ("transaction_timeout", "statement_timeout", "lock_timeout", "synchronous_commit", "search_path")
    async with await psycopg.AsyncConnection.connect(behind.server.url, autocommit=True) as direct:
        fresh = [await (await direct.execute(f"SHOW {name}")).fetchone() for name in names]
    async with await psycopg.AsyncConnection.connect(behind.pooled, autocommit=True, prepare_threshold=None) as conn:
        assert [await (await conn.execute(f"SHOW {name}")).fetchone() for name in names] == fresh
        prepared = await (await conn.execute(asked)).fetchone()
        locks = await (await conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).fetchone()
    assert prepared is not None
    assert prepared[0] == prepared[1]
    assert bool(prepared[0]) is release.prepares
    assert locks == (0,)


async def test_runs_go_on_after_a_kill_and_a_stream_tells_each_step_once(behind: Behind) -> None:
    crash = behind.crash
    run = await crash.accept("ticks", stream_mode=["updates"], **SPEC)
    seen: list[Event] = []
    runner = await crash.start(run)
    async with asyncio.timeout(120), asyncio.TaskGroup() as readers:
        readers.create_task(follow(crash.database, run, seen))
        await until(lambda: told(seen)["tick"] > 5)
        assert told(seen)["tick"] < TICKS, "it had ended before: this tests nothing"
        runner.kill()
        ended = await crash.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    crash.nothing_repeated(run)
    assert told(seen) == {"tick": TICKS}


async def test_an_api_starts_streams_searches_and_cancels(behind: Behind) -> None:
    made = await behind.http.post("/threads", json={"metadata": {"behind": "a pooler"}})
    thread = made.json()["thread_id"]
    body = {"assistant_id": "ticks", "stream_mode": ["updates"], **SPEC}
    async with behind.http.stream("POST", f"/threads/{thread}/runs/stream", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        run_id = UUID(answer.headers["content-location"].rpartition("/")[2])
        run = await get_run(behind.crash.database, run_id)
        assert run is not None
        (behind.crash.pool.setup.crash_folder / str(run_id)).mkdir(exist_ok=True)
        placing = asyncio.create_task(behind.crash.finish(run))
        names = [event.event async for event in events(answer)]
    assert names.count("updates") == TICKS
    assert (await placing).reason is Reason.SUCCEEDED
    found = await behind.http.post("/threads/search", json={"metadata": {"behind": "a pooler"}})
    assert [each["thread_id"] for each in found.json()] == [thread]

    waiting = await behind.http.post(f"/threads/{thread}/runs", json={"assistant_id": "ticks", **SPEC})
    run_id = waiting.json()["run_id"]
    cancelled = await behind.http.post(f"/threads/{thread}/runs/{run_id}/cancel", params={"wait": "true"})
    assert cancelled.is_success, cancelled.text
    assert (await behind.http.get(f"/threads/{thread}/runs/{run_id}")).json()["status"] == "interrupted"


async def test_a_run_goes_on_elsewhere_while_its_runner_is_frozen(behind: Behind) -> None:
    crash = behind.crash
    run = await crash.accept("line")
    crash.hold(run, "b")
    runner = await crash.start(run)
    await crash.until_in(run, "b")
    await runner.freeze()
    crash.let_go(run, "b")
    ended = await crash.finish(run)
    runner.kill()
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    whole(await crash.journal(run), attempts=2)


async def test_news_come_by_the_direct_url(behind: Behind) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    run = await behind.crash.accept("ticks", **SPEC)
    async with Listener.open(behind.server.url, EVENTS_CHANNEL) as listener:
        with listener.subscribe(str(run.run_id), heard.put_nowait):
            await notify(behind.crash.database, run.run_id)
            assert await asyncio.wait_for(heard.get(), 30) == str(run.run_id)
    await behind.crash.finish(run)


async def test_migrations_refuse_a_pooler_with_a_sentence(behind: Behind) -> None:
    with pytest.raises(NeedsDirectConnection, match="RELAYRUN_DATABASE_DIRECT_URL"):
        await migrate(behind.pooled)


async def test_what_readers_saw_is_still_there_after_postgres_was_killed_behind_the_pooler(behind: Behind) -> None:
    crash, words = behind.crash, 300
    run = await crash.accept("talk", input={"upto": words, "pause": 0.01})
    await crash.start(run)
    seen: list[Event] = []
    async with asyncio.timeout(120), asyncio.TaskGroup() as readers:
        readers.create_task(follow(crash.database, run, seen))
        await until(lambda: len(seen) > words / 4)
        await end(behind.server, SIGKILL)
        assert seen[-1].event != END, "it had ended before: this tests nothing"
    assert (await crash.read(run)).attempt == 1
    assert seen == await crash.journal(run)
    assert [json.loads(event.data)["word"] for event in seen if event.event == "custom"] == list(range(words))
    whole(seen)
