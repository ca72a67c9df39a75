"""A runner while Postgres is away: it says so, ends nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import psycopg
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.finish import finish
from relayrun_core.db.journal import END, read_events
from relayrun_core.db.migrate import migrate
from relayrun_runner.attempt.writer import RunWriter
from relayrun_runner.langgraph_tables import setup
from relayrun_runner.process.metrics import RunnerMetrics
from relayrun_runner.retry import until_deadline
from tests.runner.agents import entered
from tests.runner.processes import runner_process
from tests.runner.runs import accepted
from tests.support.postgres import scratch_folder, wal_writer
from tests.support.runs import DONE, accept, claimed
from tests.support.waiting import until


@pytest.mark.crash
async def test_a_killed_postmaster_costs_a_running_run_nothing_and_a_put_only_time(play: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with scratch_folder("outage") as folder, EmbeddedPostgres(folder / ".relayrun") as server:
        await migrate(server.url)
        await setup(server.url)
        async with Database.open(server.url, role="world") as database, runner_process(play, server.url) as runner:
            await runner.wait_ready()
            running = await accepted(database, input={"gate": str(gate)})
            pending = await accepted(database, input={})
            assert (await runner.put(running)).status_code == 202
            await until(entered(gate))
            process = psutil.Process(server.pid)
            process.kill()
            process.wait(60)
            refused = await runner.put(pending)
            assert (refused.status_code, refused.json()) == (503, {"reason": "DatabaseAway"})
            gate.touch()
            assert await runner.state_of(running) == "Running"
            watching = asyncio.create_task(server.watch())
            entry = await runner.wait_state(running, "Finished")
            assert entry["outcome"]["status"] == "success"
            async with asyncio.timeout(60):
                while (await runner.put(pending)).status_code == 503:
                    pass
            await runner.wait_state(pending, "Finished")
            await server.stop()
            await watching


@pytest.mark.crash
async def test_what_readers_saw_survives_a_postmaster_killed_between_the_last_events_and_the_finish() -> None:
    async with scratch_folder("outage") as folder, EmbeddedPostgres(folder / ".relayrun") as server:
        # What it commits makes durable all that was written before.
        async with await psycopg.AsyncConnection.connect(
            server.url_of("postgres", superuser=True), autocommit=True
        ) as administrator:
            await administrator.execute("ALTER SYSTEM SET autovacuum = off")
            await administrator.execute("SELECT pg_reload_conf()")
        await migrate(server.url)
        await setup(server.url)
        async with Database.open(server.url, role="runner") as database:
            run = await claimed(database, await accept(database))
            deadline = asyncio.get_running_loop().time() + 60
            writer = RunWriter(database, run, deadline, RunnerMetrics("default"), lambda *_: None)
            writing = asyncio.create_task(writer.run())
            flusher = wal_writer(server.pid)
            flusher.suspend()  # what it flushes can not be lost, and it might be quicker than this test
            await writer.emit("custom", b'{"word":1}')
            await writer.flushed()
            await writer.emit("custom", b'{"word":2}')
            await writer.flushed()
            seen = await read_events(database, run.run_id, -1)

            postmaster = psutil.Process(server.pid)
            postmaster.kill()
            flusher.kill()
            postmaster.wait(60)
            watching = asyncio.create_task(server.watch())
            left = await until_deadline(lambda: read_events(database, run.run_id, -1), deadline, "reading")
            assert (len(seen), len(left)) == (2, 0), "nothing was lost: this tests nothing"

            await finish(database, run.run_id, run.attempt, DONE, await writer.close())
            *told, last = await read_events(database, run.run_id, -1)
            assert told == seen
            assert (last.event, last.seq) == (END, seen[-1].seq + 1)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        await server.stop()
        await watching
