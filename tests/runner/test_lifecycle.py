"""A runner's start, drain and end: what it says when it can not start, and what it leaves when it goes."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest

from relayrun_core.database import Database
from relayrun_core.db.agents import list_graphs
from relayrun_core.db.runs import get_run, request_cancel
from relayrun_core.runner_protocol import STARTING
from relayrun_core.states import CancelAction, RunStatus
from relayrun_runner.process.health import Readiness
from tests.runner.agents import entered
from tests.runner.processes import runner_process, write_agent
from tests.runner.runs import accepted
from tests.support.waiting import until, until_it_is

SIMPLE = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict):
    text: str

def node(state: State) -> State:
    return {"text": "done"}

graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile()
"""


async def test_who_waits_for_a_runner_s_graphs_hears_of_the_change_at_once_and_of_a_trouble_that_is_there() -> None:
    readiness = Readiness()
    await readiness.loaded(0.001)
    assert not readiness.ready, "after a while it is told anyway"
    waiting = [asyncio.create_task(readiness.loaded(600)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.to_thread(readiness.set, "database", "it does not answer")
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    await asyncio.wait_for(readiness.loaded(600), 30)
    readiness.clear("database")
    waiting = [asyncio.create_task(readiness.loaded(600))]
    await asyncio.sleep(0)
    await asyncio.to_thread(readiness.clear, STARTING)
    await asyncio.wait_for(waiting[0], 30)
    assert readiness.ready
    await asyncio.wait_for(readiness.loaded(600), 30)


async def test_a_question_that_waits_is_answered_when_the_graphs_are_there(play: Path, database_url: str) -> None:
    async with runner_process(play, database_url) as runner:

        async def ready() -> bool:
            with suppress(httpx.TransportError):  # it does not listen yet
                return (await runner.client.get("/readyz?wait", timeout=30)).status_code == 200
            return False

        await until_it_is(ready)
        assert await ready()


async def test_a_drained_runner_gives_its_runs_back_tells_so_and_ends(
    play: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run_id = await accepted(database, input={"gate": str(gate)})
    async with runner_process(play, database_url) as runner:
        await runner.wait_ready()
        await runner.put(run_id)
        await until(entered(gate))
        lines = runner.watch()
        await anext(lines)
        runner.terminate()
        async for line in lines:
            if line["type"] == "heartbeat" and line["draining"]:
                break
        late = await accepted(database, input={})
        refused = await runner.put(late)
        assert (refused.status_code, refused.json()) == (409, {"reason": "Draining"})
        assert (await runner.client.get("/readyz")).status_code == 503
        gate.touch()
        told = [line["state"] async for line in lines if line["type"] == "run"]
        assert told[-1] == "Drained"
        assert await runner.wait_exit() == 0
    run = await get_run(database, run_id)
    assert run is not None
    assert (run.status, run.holder, run.failed_attempts) == (RunStatus.PENDING, None, 0)
    async with runner_process(play, database_url) as other:
        await other.wait_ready()
        assert (await other.put(run_id, 2)).status_code == 202
        await other.wait_state(run_id, "Finished")
    row = await database.fetch_one(
        "SELECT values FROM threads t JOIN runs r USING (thread_id) WHERE run_id = %s", (run_id,)
    )
    assert row is not None
    assert row["values"]["did"] == ["first", "wait", "last"]


async def test_a_drain_ends_at_its_grace_though_a_node_goes_on(
    play: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    gate = tmp_path / "never"
    run_id = await accepted(database, input={"gate": str(gate)})
    async with runner_process(play, database_url, drain_grace_seconds=0.5) as runner:
        await runner.wait_ready()
        await runner.put(run_id)
        await until(entered(gate))
        runner.terminate()
        assert await runner.wait_exit() == 0
        assert "did not reach their next step" in runner.log()


async def test_a_second_sigterm_ends_it_at_once_even_while_a_node_blocks_the_loop(
    play: Path, database_url: str, database: Database
) -> None:
    run_id = await accepted(database, input={"block": 60})
    async with runner_process(play, database_url, drain_grace_seconds=60) as runner:
        await runner.wait_ready()
        lines = runner.watch()
        await anext(lines)
        before = runner.log().count("event loop has been blocked")
        await runner.put(run_id)
        lag = 0.0
        async for line in lines:  # heartbeats come although the graphs' loop is blocked, and say so
            if line["type"] == "heartbeat":
                lag = line["lag_ms"]
                if lag > 1500:
                    break
        runner.terminate()
        async for line in lines:
            if line.get("draining"):
                break
        await lines.aclose()
        log = runner.log()
        assert "event loop has been blocked" in log
        assert re.search(r" by node \w+, at \S+\.py:\d+ in \w+; ", log)
        assert log.count("event loop has been blocked") == before + 1
        runner.terminate()
        assert await runner.wait_exit(seconds=20) == 0  # long before its drain's grace is over


async def test_a_cancel_that_a_blocked_loop_does_not_hear_ends_the_process(
    play: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    gate = tmp_path / "never"
    run_id = await accepted(database, input={"block": 60, "gate": str(gate)})
    async with runner_process(play, database_url, cancel_grace_seconds=0.5) as runner:
        await runner.wait_ready()
        await runner.put(run_id)
        await until(entered(gate))
        await request_cancel(database, run_id, CancelAction.INTERRUPT)
        assert (await runner.delete(run_id)).status_code == 202
        assert await runner.wait_exit() == 70
    run = await get_run(database, run_id)
    assert run is not None
    assert run.status is RunStatus.CANCELLED


async def test_a_sync_node_that_ignores_its_cancel_ends_with_the_process(
    play: Path, database_url: str, database: Database, tmp_path: Path
) -> None:
    gate = tmp_path / "never"
    run_id = await accepted(database, "stuck", input={"gate": str(gate)})
    async with runner_process(play, database_url, cancel_grace_seconds=0.5) as runner:
        await runner.wait_ready()
        await runner.put(run_id)
        await until(entered(gate))
        await request_cancel(database, run_id, CancelAction.INTERRUPT)
        await runner.delete(run_id)
        assert await runner.wait_exit() == 70
    run = await get_run(database, run_id)
    assert run is not None
    assert run.status is RunStatus.CANCELLED


async def test_a_graph_that_does_not_import_is_told_and_the_process_stays(tmp_path: Path, database_url: str) -> None:
    config = write_agent(tmp_path / "broken", "def inner():\n    raise RuntimeError('no key')\n\ninner()\n")
    async with runner_process(config, database_url) as runner:
        [reason] = await runner.wait_trouble()
        assert reason["subject"] == "graph agent"
        assert "./agent.py:graph did not load: RuntimeError: no key" in reason["message"]
        assert "in inner" in reason["traceback"]
        assert "in inner" in runner.log()
        answer = await runner.put_anything()
        assert (answer.status_code, answer.json()["reason"]) == (503, "NotReady")
        runner.terminate()
        assert await runner.wait_exit() == 0


async def test_a_wrong_config_is_told_and_the_process_stays(tmp_path: Path, database_url: str) -> None:
    config = write_agent(tmp_path / "wrong", "graph = 1", checkpointer={"path": "./saver.py:make"})
    async with runner_process(config, database_url) as runner:
        [reason] = await runner.wait_trouble()
        assert reason["subject"] == "config"
        assert "langgraph.json: checkpointer.path:" in reason["message"]
        assert runner.process.poll() is None


async def test_author_code_sees_its_variables_and_none_of_our_secrets(
    tmp_path: Path, database_url: str, database: Database
) -> None:
    code = """
        import os, sys
        for name in ("RELAYRUN_TOKEN", "RELAYRUN_DATABASE_URL", "FROM_FILE", "BOTH", "LEAK"):
            print(name, "is", os.environ.get(name), file=sys.stderr)
    """
    from textwrap import dedent

    config = write_agent(tmp_path / "secrets", dedent(code) + SIMPLE, env=".env")
    (config.parent / ".env").write_text("FROM_FILE=file\nBOTH=file\nLEAK=${RELAYRUN_TOKEN}\n")
    async with runner_process(config, database_url, environment={"BOTH": "process"}) as runner:
        await runner.wait_ready()
        log = runner.log()
        assert "RELAYRUN_TOKEN is None" in log
        assert "RELAYRUN_DATABASE_URL is None" in log
        assert "FROM_FILE is file" in log
        assert "BOTH is process" in log
        assert "LEAK is \n" in log


async def test_at_start_it_registers_its_graphs_with_their_schemas(
    play: Path, database_url: str, database: Database
) -> None:
    async with runner_process(play, database_url, agent="support", build="b1") as runner:
        await runner.wait_ready()
    rows = {row.graph: row for row in await list_graphs(database)}
    assert set(rows) == {"steps", "asking", "stuck"}
    steps = rows["steps"]
    assert (steps.agent, steps.build, steps.description) == ("support", "b1", "Three steps")
    assert set(steps.schemas["input"]["properties"]) == {"did", "gate", "block"}
    assert steps.schemas["state"]["properties"]["gate"]["type"] == "string"
    assert {node["id"] for node in steps.drawing["graph"]["nodes"]} >= {"first", "wait", "last"}
    assert "first" in steps.drawing["mermaid"]
    assert set(rows["asking"].drawing["subgraphs"]) == {"inner"}


async def test_it_waits_for_a_schema_that_is_new_enough(play: Path, database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
        await conn.execute("CREATE TABLE kept AS SELECT v FROM checkpoint_migrations WHERE v > 5")
        await conn.execute("DELETE FROM checkpoint_migrations WHERE v > 5")
        async with runner_process(play, database_url) as runner:
            [reason] = await runner.wait_trouble()
            assert reason["subject"] == "schema"
            assert "number 5 of checkpoint_migrations" in reason["message"]
            await conn.execute("INSERT INTO checkpoint_migrations SELECT v FROM kept")
            await runner.wait_ready()


async def test_it_waits_for_a_database_that_is_away(play: Path, database_url: str, tmp_path: Path) -> None:
    nowhere = "postgresql://relayrun@127.0.0.1:9/nothing"
    async with runner_process(play, nowhere) as runner:
        [reason] = await runner.wait_trouble()
        assert reason["subject"] == "database"
        assert (await runner.client.get("/healthz")).status_code == 200
        runner.terminate()
        assert await runner.wait_exit() == 0


@pytest.mark.parametrize("name", ["RELAYRUN_TOKEN", "RELAYRUN_PORT"])
async def test_wrong_settings_end_it_with_2_and_name_the_variable(name: str, play: Path, database_url: str) -> None:
    setting = {name.removeprefix("RELAYRUN_").lower(): ""}
    async with runner_process(play, database_url, **setting) as runner:
        assert await runner.wait_exit() == 2
        assert name in runner.log()


async def test_it_dies_with_its_parent(play: Path, database_url: str) -> None:
    async with runner_process(play, database_url, with_parent_pipe=True) as runner:
        await runner.wait_ready()
        runner.process.send_signal(signal.SIGINT)  # Ctrl-C reaches the whole group; the parent decides
        await asyncio.sleep(0)
        assert (await runner.client.get("/healthz")).status_code == 200
        runner.close_parent_pipe()
        assert await runner.wait_exit() == 0
