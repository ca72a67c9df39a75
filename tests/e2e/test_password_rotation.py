"""The database's password changes under load: the URL is read from its file for each new connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.migrate import migrate
from relayrun_core.db.runs import get_run
from relayrun_core.states import Reason
from relayrun_runner.langgraph_tables import setup
from tests.api.process import api_process
from tests.runner.processes import RunnerProcess, runner_process, write_agent
from tests.runner.runs import accepted
from tests.runner.test_connections import BUSY
from tests.support.postgres import scratch_folder
from tests.support.waiting import until_it_is

pytestmark = [pytest.mark.slow]

APPLICATIONS = {"relayrun-api", "relayrun-runner"}
_MADE_SINCE = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE usename = 'app' AND backend_start > %s"


@dataclass(frozen=True)
class Secret:
    """The role, and the file with its URL, as a Secret is mounted."""

    server: EmbeddedPostgres
    file: Path

    async def alter(self, password: str) -> None:
        async with await psycopg.AsyncConnection.connect(
            self.server.url_of("postgres", superuser=True), autocommit=True
        ) as conn:
            await conn.execute(sql.SQL("ALTER ROLE app PASSWORD {}").format(sql.Literal(password)))

    def write(self, password: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(self.server.url.replace("relayrun@", f"app:{password}@") + "\n")
        new.rename(self.file)


@pytest.fixture
async def secret(tmp_path: Path) -> AsyncIterator[Secret]:
    """A role that needs its password."""
    async with scratch_folder("rotation") as folder, EmbeddedPostgres(folder / ".relayrun") as server:
        await migrate(server.url)
        await setup(server.url)
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"local all app scram-sha-256\n{rules.read_text()}")
        async with await psycopg.AsyncConnection.connect(
            server.url_of("postgres", superuser=True), autocommit=True
        ) as conn:
            await conn.execute("CREATE ROLE app LOGIN PASSWORD 'one' IN ROLE relayrun")
            await conn.execute("SELECT pg_reload_conf()")
        secret = Secret(server, tmp_path / "uri")
        secret.write("one")
        yield secret


@dataclass
class Load:
    """Requests and runs in bursts: between them connections are closed, and are made anew for the next."""

    http: httpx.AsyncClient
    runner: RunnerProcess
    database: Database
    bursts: int = 0

    async def forever(self) -> None:
        while True:
            await self._burst()
            self.bursts += 1

    async def _burst(self) -> None:
        runs = [
            await accepted(self.database, "agent", input={"name": str(uuid4())}, stream_mode=["custom"])
            for _ in range(4)
        ]
        threads = [str(run.thread_id) for run_id in runs if (run := await get_run(self.database, run_id))]
        placed = [self.runner.put(run_id) for run_id in runs]
        asked = [self.http.post("/threads", json={}) for _ in range(12)]
        searched = [self.http.post("/threads/search", json={}) for _ in range(4)]
        for answer in await asyncio.gather(*placed, *asked, *searched):
            assert answer.is_success, answer.text
        for run_id in runs:
            await self.runner.wait_state(run_id, "Finished")
            run = await get_run(self.database, run_id)
            assert run is not None
            assert run.reason is Reason.SUCCEEDED, run
        states = [self.runner.client.get(f"/threads/{each}/state", params={"graph": "agent"}) for each in threads]
        for answer in await asyncio.gather(*states):
            assert answer.is_success, answer.text


async def test_no_request_and_no_run_fails_while_the_password_changes(secret: Secret, tmp_path: Path) -> None:
    config = write_agent(tmp_path / "busy", BUSY, graphs={"agent": "./agent.py:graph"})
    given = {"database_url_file": str(secret.file), "database_idle_seconds": "0.3"}
    async with (
        Database.open(secret.server.url, role="world") as database,
        Database.open(secret.server.url_of("relayrun", superuser=True), role="world") as watching,
        runner_process(config, "postgresql://nobody@/nothing", **given) as runner,
        api_process("postgresql://nobody@/nothing", **given) as api,
        httpx.AsyncClient(base_url=api.url, timeout=60) as http,
    ):
        await runner.wait_ready()
        load = Load(http, runner, database)
        loading = asyncio.create_task(load.forever())
        await bursts(load, loading, 1)

        for password in ("two", "three"):
            await secret.alter(password)
            await bursts(load, loading, 1)  # so long the file has the old one still, as until kubelet's next look
            row = await database.fetch_one("SELECT clock_timestamp() AS now")
            assert row is not None
            secret.write(password)

            async def with_the_new_one(since: object = row["now"]) -> bool:
                assert not loading.done(), loading.exception()
                made = await watching.fetch_all(_MADE_SINCE, (since,))
                return {each["application_name"] for each in made} >= APPLICATIONS

            await until_it_is(with_the_new_one)
        await bursts(load, loading, 1)
        loading.cancel()
        await asyncio.wait([loading])
        assert loading.cancelled(), loading.exception()


async def bursts(load: Load, loading: asyncio.Task[None], number: int) -> None:
    """Wait for so many whole bursts, beginning from now."""
    wanted = load.bursts + number + 1

    async def done() -> bool:
        assert not loading.done(), loading.exception()
        return load.bursts >= wanted

    await until_it_is(done)
