"""Author code may end in any way: that is an error of its own run, and others go on beside it in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from relayrun_core.database import Database
from relayrun_core.db.runs import get_run
from relayrun_core.runner_requests import CUSTOM_PATH, ProxiedRequest, to_headers
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus
from relayrun_runner.attempt.outcome import describe
from tests.runner.odd import write_odd
from tests.runner.processes import RunnerProcess, runner_process
from tests.runner.runs import accepted

#: What the odd agent raises → its name, and how its message begins.
HOWS = {
    "exit": ("SystemExit", "SystemExit: 2"),
    "interrupt": ("KeyboardInterrupt", "KeyboardInterrupt"),
    "odd": ("Odd", "Odd: not an Exception"),
    "mute": ("Mute", "Mute"),
    "generator": ("GeneratorExit", ""),
    "cancelled": ("NodeCancelledError", ""),
    "group": ("BaseExceptionGroup", "BaseExceptionGroup: several (2 sub-exceptions)"),
    "ring": ("ValueError", "its own cause"),
    "memory": ("MemoryError", "no more"),
    "drained": ("GraphDrained", "Graph drained: by nobody"),
    "stale": ("StaleAttempt", "says the author"),
    "deep": ("ExceptionGroup", "several (1 sub-exception)"),
    "recursion": ("RecursionError", "maximum recursion depth exceeded"),
}


@pytest.fixture(scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> AsyncIterator[RunnerProcess]:
    """One for all: whatever one of these tests did, the next one meets it."""
    config = write_odd(tmp_path_factory.mktemp("odd") / "odd")
    async with runner_process(config, shared_url, agent="odd", slots=30) as process:
        await process.wait_ready()
        yield process


async def ended(
    runner: RunnerProcess, database: Database, runs: Iterable[tuple[str, str]], **spec: Any
) -> dict[tuple[str, str], Run]:
    """How runs ended, by graph and input, all at once and beside an innocent one that began before."""
    gate = runner.log_file.parent / f"gate-{uuid4()}"
    innocent = await _started(runner, database, "fine", {"gate": str(gate)})
    ids = {key: await _started(runner, database, key[0], {"how": key[1]}, **spec) for key in runs}
    for run_id in ids.values():
        await runner.wait_state(run_id, "Finished", "Abandoned", "Drained")
    gate.touch()
    await runner.wait_state(innocent, "Finished")
    assert (await _row(database, innocent)).status is RunStatus.SUCCESS
    assert runner.process.poll() is None
    assert (await runner.client.get("/healthz")).status_code == 200
    return {key: await _row(database, run_id) for key, run_id in ids.items()}


async def _started(runner: RunnerProcess, database: Database, graph: str, given: Any, **spec: Any) -> UUID:
    run_id = await accepted(database, graph, input=given, **spec)
    assert (await runner.put(run_id)).status_code == 202
    return run_id


async def _row(database: Database, run_id: UUID) -> Run:
    found = await get_run(database, run_id)
    assert found is not None
    return found


def told(run: Run) -> tuple[str, str | None, str | None]:
    """The end of a run: its status, its exception's name, the node."""
    error = run.error or {}
    return run.status.value, error.get("error"), error.get("node")


async def test_whatever_a_node_raises_is_the_error_of_its_run(runner: RunnerProcess, shared_database: Database) -> None:
    runs = await ended(runner, shared_database, [(graph, how) for graph in ("sync", "plain") for how in HOWS])
    assert {key: told(run) for key, run in runs.items()} == {key: ("error", HOWS[key[1]][0], "node") for key in runs}
    for (_, how), run in runs.items():
        name, message = HOWS[how]
        assert run.message == f"{name} in node node"
        assert run.error is not None
        assert run.error["message"].startswith(message)
        assert "in raised" in run.error["traceback"] or how == "generator"  # it cannot pass an `await`


async def test_an_exception_that_raises_whatever_it_is_asked_for_is_the_error_of_its_run(
    runner: RunnerProcess, shared_database: Database
) -> None:
    runs = await ended(runner, shared_database, [("sync", "shy"), ("plain", "shy")])
    assert {key: told(run) for key, run in runs.items()} == dict.fromkeys(runs, ("error", "SystemExit", "node"))


async def test_wherever_a_graph_raises_it_its_run_ends_as_an_error(
    runner: RunnerProcess, shared_database: Database
) -> None:
    below_nodes = ("awaiting", "gathering", "below", "retried", "calls_back")
    hows = ("exit", "interrupt", "odd")
    keys = [(graph, how) for graph in (*below_nodes, "writes", "streams") for how in hows]
    runs = await ended(runner, shared_database, keys, stream_modes=["custom", "values"])
    assert {key: told(run) for key, run in runs.items()} == {
        (graph, how): ("error", HOWS[how][0], "node" if graph in below_nodes else None) for graph, how in keys
    }
    for (graph, how), run in runs.items():
        assert run.message == (f"{HOWS[how][0]} in node node" if graph in below_nodes else HOWS[how][0])


@pytest.mark.parametrize("config", [{"configurable": 3}, {"metadata": [1]}, {"tags": 1}])
async def test_a_config_of_the_wrong_shape_is_the_error_of_its_run(
    runner: RunnerProcess, shared_database: Database, config: dict[str, Any]
) -> None:
    runs = await ended(runner, shared_database, [("plain", "exit")], config=config)
    assert [run.status.value for run in runs.values()] == ["error"]


async def test_a_cancel_that_author_code_made_up_is_an_error_of_its_run(
    runner: RunnerProcess, shared_database: Database
) -> None:
    nodes = ("awaiting", "gathering", "below", "cancels_itself", "calls_back")
    keys = [(graph, "cancelled") for graph in (*nodes, "writes", "streams")]
    runs = await ended(runner, shared_database, keys, stream_modes=["custom", "values"])
    assert {key: told(run) for key, run in runs.items()} == {
        (graph, how): ("error", "NodeCancelledError", "node") if graph in nodes else ("error", "CancelledError", None)
        for graph, how in keys
    }


async def test_a_value_that_raises_where_it_is_written_down_ends_its_run(
    runner: RunnerProcess, shared_database: Database
) -> None:
    runs = await ended(runner, shared_database, [("returns", how) for how in HOWS])
    assert {run.status for run in runs.values()} <= {RunStatus.ERROR, RunStatus.SUCCESS}


@pytest.mark.parametrize("how", ["exit", "interrupt", "odd", "generator", "cancelled", "itself"])
async def test_whatever_a_factory_raises_is_the_error_of_its_run(
    runner: RunnerProcess, shared_database: Database, how: str
) -> None:
    runs = await ended(runner, shared_database, [("made", "")], config={"configurable": {"how": how}})
    [run] = runs.values()
    name = "CancelledError" if how in ("cancelled", "itself") else HOWS[how][0]
    assert told(run) == ("error", name, None)
    assert run.error is not None
    assert "made_graph" in run.error["traceback"]


async def test_what_goes_on_beside_a_run_ends_nothing(runner: RunnerProcess, shared_database: Database) -> None:
    keys = [("leaves", how) for how in ("exit", "interrupt", "odd", "generator", "cancelled")]
    runs = await ended(runner, shared_database, keys)
    assert {told(run) for run in runs.values()} == {("success", None, None)}


async def test_nobody_can_close_the_event_loop_under_the_others(
    runner: RunnerProcess, shared_database: Database
) -> None:
    runs = await ended(runner, shared_database, [("closes", "")])
    assert [run.message for run in runs.values()] == ["RuntimeError in node node"]


async def test_nobody_can_take_the_threads_of_the_others_away(runner: RunnerProcess, shared_database: Database) -> None:
    for _ in range(2):  # the second one, and the innocent one beside it, meet what the first one left
        runs = await ended(runner, shared_database, [("own_threads", ""), ("sync", "fine")])
        assert [told(run) for run in runs.values()] == [("success", None, None)] * 2


async def test_a_question_that_author_code_ends_is_answered(runner: RunnerProcess, shared_database: Database) -> None:
    thread_id = uuid4()
    run_id = await accepted(shared_database, "writes", thread_id=thread_id, input={"how": ""})
    await runner.put(run_id)
    await runner.wait_state(run_id, "Finished")

    async def refused(path: str, body: dict[str, Any]) -> tuple[int, str]:
        answer = await runner.client.post(path, json=body)
        return answer.status_code, answer.json()["reason"]

    for how in HOWS:
        assert await refused(f"/threads/{thread_id}/state", {"values": {"reduced": how}}) == (400, "Invalid"), how
        question = {"graph": "made", "what": "schemas", "config": {"configurable": {"how": how}}}
        assert await refused("/describe", question) == (400, "Invalid"), how
    question = {"graph": "made", "what": "schemas", "config": {"configurable": {"how": "itself"}}}
    assert await refused("/describe", question) == (500, "Error")
    assert (await runner.client.get(f"/threads/{thread_id}/state")).status_code == 200


async def test_whatever_an_app_raises_is_its_own_500(runner: RunnerProcess) -> None:
    for how in (*HOWS, "itself"):
        headers = to_headers(ProxiedRequest(f"/{how}", f"/{how}"))
        answer = await runner.client.get(CUSTOM_PATH, headers=httpx.Headers(headers))
        assert answer.status_code == 500, how
    assert (await runner.client.get("/healthz")).status_code == 200


async def test_whatever_a_handler_of_auth_raises_lets_nobody_through(runner: RunnerProcess) -> None:
    async def refused(path: str, how: str) -> tuple[int, bool]:
        connection = {"method": "GET", "path": f"/{path}/{how}", "headers": []}
        asks = [{"resource": "threads", "action": "read", "value": {"how": how}}]
        answer = await runner.client.post("/auth", json={"connection": connection, "asks": asks})
        assert answer.status_code == 200, answer.text
        return answer.json()["refused"]["status"], answer.json()["refused"]["failed"]

    for how in HOWS:
        assert await refused("who", how) == (500, True), how
        assert await refused("what", how) == (500, True), how
    assert await refused("who", "itself") == (500, True)
    connection = {"method": "GET", "path": "/who/", "headers": []}
    assert (await runner.client.post("/auth", json={"connection": connection})).json()["user"]["identity"] == "me"


async def test_nobody_takes_its_time_and_its_signals_away(runner: RunnerProcess, shared_database: Database) -> None:
    """The last one of this runner: it ends in order."""
    runs = await ended(runner, shared_database, [("stopped_clocks", ""), ("takes_signals", "")])
    assert {told(run) for run in runs.values()} == {("success", None, None)}
    lines = runner.watch()
    async with asyncio.timeout(60):
        assert [(await anext(lines))["type"] for _ in range(3)] == ["list", "heartbeat", "heartbeat"]
    await lines.aclose()
    runner.terminate()
    assert await runner.wait_exit() == 0
    assert "draining: no new runs" in runner.log()


def test_what_an_exception_says_in_megabytes_is_told_by_its_two_ends() -> None:
    error = describe(ValueError("first" + "\ud83d" * 3_000_000 + "last"), 1, None)
    assert len(error["message"]) < 101_000
    assert error["message"].startswith("first")
    assert error["message"].endswith("last")
