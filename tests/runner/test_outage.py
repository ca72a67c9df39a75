"""A runner while Postgres is away: it says so, ends nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.migrate import migrate
from relayrun_runner.schema import setup
from tests.runner.agents import entered
from tests.runner.processes import runner_process
from tests.runner.runs import accepted
from tests.support.postgres import scratch_folder
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
            process.wait(5)
            refused = await runner.put(pending)
            assert (refused.status_code, refused.json()) == (503, {"reason": "DatabaseAway"})
            gate.touch()
            assert await runner.state_of(running) == "Running"
            watching = asyncio.create_task(server.watch())
            entry = await runner.wait_state(running, "Finished", seconds=40)
            assert entry["outcome"]["status"] == "success"
            async with asyncio.timeout(20):
                while (await runner.put(pending)).status_code == 503:
                    pass
            await runner.wait_state(pending, "Finished")
            await server.stop()
            await watching
