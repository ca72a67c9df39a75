"""`relayrun dev` as a person meets it: real processes, killed one by one and all together."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import httpx
import jwt
import psutil
import pytest

from tests.cli.dev_process import AGENT, Dev, Project, alive, running_dev, start
from tests.support.postgres import scratch_folder
from tests.support.waiting import until, until_it_is

STEPS = ["first one", "gate one", "last one"]

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
async def project() -> AsyncIterator[Project]:
    async with scratch_folder("dev") as folder:
        yield Project(folder)


@pytest.fixture(scope="module")
async def dev() -> AsyncIterator[Dev]:
    """One `relayrun dev` for the tests that leave it running."""
    async with scratch_folder("dev-shared") as folder, running_dev(Project(folder)) as dev:
        yield dev
        dev.send(signal.SIGTERM)
        assert await dev.ended() == 0, dev.log


async def at_the_gate(dev: Dev, thread: str) -> str:
    """Start a run, and return its id once it executes the node that waits."""
    dev.project.close_gate()
    run = await dev.start_run(thread)
    await until(lambda: "gate one" in dev.project.effects())
    return run


async def test_a_killed_api_is_started_again_on_the_same_port_and_the_run_goes_on(dev: Dev) -> None:
    run = await at_the_gate(dev, "api")
    [api] = dev.part("relayrun_api")
    api.kill()
    dev.project.open_gate()
    assert (await dev.join("api", run))["steps"] == STEPS
    assert [process.pid for process in dev.part("relayrun_api")] != [api.pid]
    assert dev.project.effects() == STEPS


async def test_a_killed_runner_is_replaced_and_repeats_only_the_node_it_was_in(dev: Dev) -> None:
    run = await at_the_gate(dev, "runner")
    [runner] = dev.part("relayrun_runner")
    runner.kill()
    await until(lambda: dev.project.effects().count("gate one") == 2, seconds=60)
    dev.project.open_gate()
    assert (await dev.join("runner", run))["steps"] == STEPS
    assert dev.project.effects() == ["first one", "gate one", "gate one", "last one"]


async def test_a_killed_postmaster_is_started_again_and_the_run_goes_on(dev: Dev) -> None:
    run = await at_the_gate(dev, "postgres")
    old = dev.postgres_pid
    psutil.Process(old).kill()
    await dev.wait_for("Postgres runs again")
    dev.project.open_gate()
    assert (await dev.join("postgres", run))["steps"] == STEPS
    assert dev.postgres_pid != old
    assert dev.project.effects().count("first one") == 1


async def test_a_second_dev_on_the_same_data_is_refused_and_told_of_the_first(dev: Dev) -> None:
    second = start(dev.project, [], dev.project.folder / "second.log")
    assert await asyncio.to_thread(second.wait, 60) == 1
    said = (dev.project.folder / "second.log").read_text()
    assert f"process {dev.process.pid}" in said
    assert "Traceback" not in said


async def test_a_taken_port_that_was_asked_for_ends_dev_with_1(dev: Dev, project: Project) -> None:
    refused = start(project, ["--port", str(dev.port)], project.folder / "dev.log")
    assert await asyncio.to_thread(refused.wait, 60) == 1
    assert f"Port {dev.port} on 127.0.0.1 is taken" in (project.folder / "dev.log").read_text()


async def test_runs_can_be_listed_shown_and_cancelled_from_the_command_line(dev: Dev) -> None:
    run = await at_the_gate(dev, "listed")
    assert run in relayrun("ps", dev)
    assert "busy" in relayrun("show", dev, "listed")
    relayrun("cancel", dev, run)
    await dev.call("GET", f"/threads/listed/runs/{run}/join")
    assert run not in relayrun("ps", dev)
    assert run in relayrun("ps", dev, "--all")
    assert "Cancelled" in relayrun("show", dev, "listed")


async def test_a_run_under_way_goes_on_in_new_code_and_broken_code_leaves_the_old_serving(dev: Dev) -> None:
    code = dev.project.code
    run = await at_the_gate(dev, "reload")
    code.write_text(AGENT.replace('"one"', '"two"'))
    await dev.wait_for("The new code runs")
    await dev.wait_for("draining: ")  # the old runner knows that it is not to go on
    dev.project.open_gate()
    assert (await dev.join("reload", run))["steps"] == ["first one", "gate one", "last two"]
    code.write_text("import no_such_module\n")
    await dev.wait_for("The new code does not load")
    await dev.wait_for("No module named 'no_such_module'")

    async def degraded() -> bool:
        return bool((await dev.call("GET", "/status"))["status"] == "degraded")

    await until_it_is(degraded)  # the API is told a moment later
    assert (await dev.join("broken", await dev.start_run("broken")))["steps"][0] == "first two"


async def test_after_kill_9_of_all_of_dev_the_next_one_adopts_postgres_and_finishes_the_run(
    project: Project,
) -> None:
    async with running_dev(project) as first:
        run = await at_the_gate(first, "t")
        postgres = first.postgres_pid
        all_children = psutil.Process(first.process.pid).children(recursive=True)
        children = [process for process in all_children if alive(process) and process.ppid() != postgres]
        first.process.kill()
        await first.ended()
        # The API and the runner see the end of their parent; Postgres does not.
        await until(lambda: [process.pid for process in children if alive(process)] == [postgres])
    async with running_dev(project, port=first.port) as second:
        assert second.postgres_pid == postgres
        project.open_gate()
        assert (await second.join("t", run))["steps"] == STEPS
        assert project.effects() == ["first one", "gate one", "gate one", "last one"]


async def test_ctrl_c_stops_all_and_the_run_goes_on_at_the_next_start(project: Project) -> None:
    async with running_dev(project) as first:
        run = await at_the_gate(first, "t")
        children = psutil.Process(first.process.pid).children(recursive=True)
        first.send(signal.SIGINT)
        await first.wait_for("draining")
        project.open_gate()  # a draining runner waits for its node
        assert await first.ended() == 0
        assert [process for process in children if alive(process)] == []
    async with running_dev(project) as second:
        assert (await second.join("t", run))["steps"] == STEPS
        assert project.effects() == STEPS


async def test_a_second_ctrl_c_ends_dev_at_once_with_postgres_and_reset_then_deletes_the_data(project: Project) -> None:
    async with running_dev(project) as dev:
        await at_the_gate(dev, "t")
        children = psutil.Process(dev.process.pid).children(recursive=True)
        dev.send(signal.SIGINT)
        await dev.wait_for("Stopping")
        dev.send(signal.SIGINT)
        assert await dev.ended(8) == 128 + signal.SIGINT  # sooner than the runners' drain
        await until(lambda: not any(map(alive, children)))
    assert command("reset", "--yes", "-c", str(project.folder / "langgraph.json")).returncode == 0
    assert not project.data.exists()


async def test_a_database_url_is_used_instead_of_an_embedded_server(project: Project, database_url: str) -> None:
    async with running_dev(project, environment={"DATABASE_URL": database_url}) as dev:
        project.open_gate()
        assert (await dev.join("t", await dev.start_run("t")))["steps"] == STEPS
        assert not (project.data / "postgres").exists()


async def test_the_environment_says_who_may_call(project: Project, database_url: str) -> None:
    secret = "s" * 32
    environment = {"DATABASE_URL": database_url, "RELAYRUN_AUTH": "jwt", "RELAYRUN_JWT_SECRET": secret}
    async with running_dev(project, environment=environment) as dev:
        await dev.wait_for("jwt, as RELAYRUN_AUTH says")
        token = jwt.encode({"sub": "alice", "exp": time.time() + 60}, secret)
        async with httpx.AsyncClient(base_url=dev.url) as client:
            statuses = [
                (await client.post("/threads/search", json={}, headers=headers)).status_code
                for headers in ({}, {"Authorization": f"Bearer {token}"})
            ]
        assert statuses == [401, 200]


AUTH = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    if authorization != "Bearer open sesame":
        raise Auth.exceptions.HTTPException(401, "Say the word")
    return "ali"
"""


async def test_langgraph_json_says_who_may_call_and_dev_does_not_take_it_out_while_it_runs(
    project: Project, database_url: str
) -> None:
    (project.folder / "auth.py").write_text(AUTH)
    file = project.folder / "langgraph.json"
    given = json.loads(file.read_text())
    file.write_text(json.dumps({**given, "auth": {"path": "./auth.py:auth"}}))
    async with (
        running_dev(project, environment={"DATABASE_URL": database_url}) as dev,
        httpx.AsyncClient(base_url=dev.url) as client,
    ):
        await dev.wait_for("./auth.py:auth says who may, as langgraph.json has it")

        async def statuses() -> list[int]:
            sent = ({}, {"Authorization": "Bearer open sesame"})
            return [(await client.post("/threads/search", json={}, headers=headers)).status_code for headers in sent]

        assert await statuses() == [401, 200]
        file.write_text(json.dumps(given))
        await dev.wait_for("restart relayrun dev")
        assert await statuses() == [401, 200]


async def test_code_that_does_not_load_is_shown_and_loaded_once_repaired_and_reset_refuses_meanwhile(
    project: Project,
) -> None:
    good = project.code.read_text()
    project.code.write_text("import no_such_module\n")
    async with running_dev(project) as dev:
        await dev.wait_for("No module named 'no_such_module'")
        refused = command("reset", "--yes", "-c", str(project.folder / "langgraph.json"))
        assert refused.returncode == 1
        assert f"process {dev.process.pid}" in refused.stderr
        project.open_gate()
        project.code.write_text(good)
        await dev.wait_for("The new code runs")
        assert (await dev.join("t", await dev.start_run("t")))["steps"] == STEPS


def relayrun(verb: str, dev: Dev, *arguments: str) -> str:
    done = command(verb, "--url", dev.url, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relayrun_cli", *arguments], capture_output=True, text=True, check=False
    )
