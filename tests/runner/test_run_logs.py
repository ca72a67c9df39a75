"""What author code prints and logs is its run's: from tasks, threads and pools, in pods and where it is stored."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any, TextIO, cast
from uuid import UUID

import psycopg
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.run_logs import ATTEMPTS_KEPT, LogBatch, LogPosition, append_log, read_log
from relayrun_runner.logs.lines import MOST_CHARACTERS, Lines, shortened
from relayrun_runner.logs.places import PLACE, Place
from relayrun_runner.logs.run_log import RunLog
from relayrun_runner.logs.storing import RunLogs
from relayrun_runner.logs.streams import RunStream
from tests.runner.ends import Place as Served
from tests.runner.processes import runner_process, write_agent
from tests.runner.runs import accepted
from tests.support.postgres import fresh_database
from tests.support.runs import accept, claimed
from tests.support.waiting import until_it_is

TALKATIVE = """
import asyncio, contextvars, io, logging, sys, threading, warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from typing import TypedDict

from langgraph.graph import START, StateGraph

log = logging.getLogger("shop.orders")
pool = ThreadPoolExecutor(1)
print("printed at import")


class State(TypedDict, total=False):
    name: str


async def in_tasks(state: State) -> State:
    name = state["name"]
    print(f"{name} print")
    print(f"{name} in", "parts", end="")
    print("", file=sys.stdout)
    sys.stderr.write(f"{name} stderr\\n")
    sys.stdout.buffer.write(f"{name} bytes \\xff\\n".encode("latin-1"))
    log.warning("%s logged", name, extra={"order": 7})
    log.debug("%s is not at this level", name)
    warnings.warn(f"{name} warned")
    await asyncio.create_task(aside(name))
    await asyncio.to_thread(print, f"{name} to_thread")
    await asyncio.get_running_loop().run_in_executor(None, print, f"{name} run_in_executor")
    with redirect_stdout(io.StringIO()):
        print(f"{name} is kept to itself")
    return {}


async def aside(name):
    print(f"{name} task")


def in_threads(state: State) -> State:
    name = state["name"]
    print(f"{name} sync node")
    thread = threading.Thread(target=print, args=(f"{name} thread",))
    thread.start()
    thread.join()
    pool.submit(print, f"{name} pool").result()
    print(f"{name} \\x1b[31mred\\x1b[0m \\0 NUL \\ud800 half")
    print(f"{name} 10%\\r{name} 100%")
    print(f"{name} " + "x" * 100_000)
    try:
        raise ValueError(f"{name} bad")
    except ValueError:
        log.exception("%s failed", name)
    print(f"{name} without an end", end="")
    return {}


graph = StateGraph(State).add_node(in_tasks).add_node(in_threads)
graph.add_edge(START, "in_tasks").add_edge("in_tasks", "in_threads")


def flood(state: State) -> State:
    for n in range(20_000):
        print("line", n)
    return {}


flooding = StateGraph(State).add_node(flood).add_edge(START, "flood")
"""
PRINTED = {
    ("in_tasks", "stdout"): ["print", "in parts", "bytes \N{REPLACEMENT CHARACTER}", "task", "to_thread"],
    ("in_threads", "stdout"): ["sync node", "thread", "pool", "100%", "without an end"],
}


@pytest.fixture(scope="module")
async def served(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A runner as in a pod."""
    graphs = {"agent": "./agent.py:graph", "flooding": "./agent.py:flooding"}
    config = write_agent(tmp_path_factory.mktemp("talkative"), TALKATIVE, graphs=graphs)
    async with (
        fresh_database(postgres) as url,
        Database.open(url, role="world", max_size=4) as database,
        runner_process(config, url, log_format="json") as runner,
    ):
        await runner.wait_ready()
        yield Served(runner, database)


async def read_all(served: Served, run_id: UUID) -> list[dict[str, Any]]:
    """The run's lines, page by page."""
    lines: list[dict[str, Any]] = []
    after, more = LogPosition(), True
    while more:
        page = await read_log(served.database, run_id, after, limit=5000)
        lines += [{"attempt": position.attempt, **line} for position, line in page.lines]
        more, after = page.more, page.end
    return lines


async def log_of(served: Served, run_id: UUID, last: str) -> list[dict[str, Any]]:
    """The run's lines, once there is one with these words."""

    async def there() -> bool:
        return any(last in line["text"] for line in await read_all(served, run_id))

    await until_it_is(there)
    return await read_all(served, run_id)


async def test_lines_are_stored_with_their_run_and_node_wherever_they_are_printed(served: Served) -> None:
    names = ["anna", "berta"]
    runs = {name: await accepted(served.database, "agent", input={"name": name}) for name in names}
    for run_id in runs.values():
        await served.runner.put(run_id)
    for name, run_id in runs.items():
        lines = await log_of(served, run_id, f"{name} without an end")
        assert [line["text"] for line in lines if not line["text"].startswith(name)] == [
            line["text"] for line in lines if "UserWarning" in line["text"] or "warnings.warn(" in line["text"]
        ]
        found = [(line["node"], line["source"], line["text"].removeprefix(f"{name} ")) for line in lines]
        for (node, source), texts in PRINTED.items():
            assert [text for text in texts if (node, source, text) not in found] == []
        assert ("in_tasks", "stdout", "run_in_executor") in found
        assert ("in_tasks", "stderr", "stderr") in found
        assert ("in_threads", "stdout", "red \N{REPLACEMENT CHARACTER} NUL \N{REPLACEMENT CHARACTER} half") in found
        [long] = [text for _, _, text in found if text.startswith("xxx")]
        assert long.endswith(f"x … {100_000 + len(name) + 1 - MOST_CHARACTERS:,} characters left out")
        logged = [line for line in lines if line["source"] == "log"]
        assert [(line["level"], line["logger"]) for line in logged] == [
            ("warning", "shop.orders"),
            ("error", "shop.orders"),
        ]
        assert logged[1]["text"].startswith(f"{name} failed\nTraceback")
        assert {line["attempt"] for line in lines} == {1}
        assert not any("itself" in line["text"] or "level" in line["text"] for line in lines)

    shown = [json.loads(line) for line in served.runner.log().splitlines()]
    of_import = [line for line in shown if line["message"] == "printed at import"]
    assert [(line["logger"], "run" in line) for line in of_import] == [("stdout", False)]
    for name, run_id in runs.items():
        mine = [line for line in shown if line["message"].startswith(f"{name} ")]
        assert {line["run"] for line in mine} == {str(run_id)}
        assert {line["attempt"] for line in mine} == {1}
        assert {line["node"] for line in mine} == {"in_tasks", "in_threads"}
        assert {"stdout", "stderr", "shop.orders"} <= {line["logger"] for line in mine}
        assert any(line.get("order") == 7 for line in mine)


async def test_a_flood_is_cut_off_and_counted_and_the_run_ends_well(served: Served) -> None:
    run_id = await accepted(served.database, "flooding", input={"name": "all"})
    await served.runner.put(run_id)
    await served.runner.wait_state(run_id, "Finished")

    async def all_are_told_of() -> bool:
        lines = await read_all(served, run_id)
        dropped = sum(line.get("dropped", 0) for line in lines)
        return dropped + sum(line["source"] == "stdout" for line in lines) == 20_000

    await until_it_is(all_are_told_of)
    lines = await read_all(served, run_id)
    kept = [line for line in lines if line["source"] == "stdout"]
    assert kept[0]["text"] == "line 0"
    assert sum(len(line["text"]) for line in lines) < 1_100_000


async def test_as_text_all_is_passed_on_as_it_is_written(database: Database) -> None:
    run = await claimed(database, await accept(database))
    to = io.StringIO()
    stream = RunStream("stdout", cast("TextIO", to), "text")
    log = RunLog(run, 10_000, lambda _: None)
    print("outside", end=" ", file=cast("TextIO", stream))
    token = PLACE.set(Place(log))
    try:
        print("10%", end="\r", file=cast("TextIO", stream))
        print("\x1b[1mbold\x1b[0m", file=cast("TextIO", stream))
    finally:
        PLACE.reset(token)
    assert to.getvalue() == "outside 10%\r\x1b[1mbold\x1b[0m\n"
    batch = log.next_batch()
    assert batch is not None
    assert [line["text"] for line in json.loads(batch.lines)] == ["bold"]


def test_lines_of_several_writers_are_put_together() -> None:
    lines = Lines()
    assert lines.feed("a", "one, ") == []
    assert lines.feed("b", "other\r\nand ") == ["other"]
    assert lines.feed("a", "two\n\nthree") == ["one, two", ""]
    assert lines.feed("a", "x" * MOST_CHARACTERS) == []
    assert lines.feed("a", "y\n") == ["three" + "x" * (MOST_CHARACTERS - 5) + " … 6 characters left out"]
    assert lines.rest() == [("b", "and ")]
    assert lines.rest() == []
    assert shortened("\x1b[1;31mred\x1b[0m") == "red"


async def test_what_cannot_be_stored_is_counted_and_never_grows(database: Database) -> None:
    run = await claimed(database, await accept(database))
    woken: list[RunLog] = []
    log = RunLog(run, 10_000_000, woken.append)
    for _ in range(5000):
        log.add("stdout", "x" * 1000, node=None)
    assert woken == [log]
    assert not log.rests()
    batches = []
    while (batch := log.next_batch()) is not None:
        assert log.next_batch() is batch  # the same, until it is stored
        batches.append(batch)
        log.stored()
    assert log.rests()
    assert sum(len(batch.lines) for batch in batches) < 400_000
    kept = batches[-1].last
    log.add("stdout", "on", node=None)
    assert woken == [log, log]
    last = log.next_batch()
    assert last is not None
    [told, on] = json.loads(last.lines)
    assert (told["dropped"], on["text"]) == (5000 - kept, "on")
    log.close()
    log.add("stdout", "too late", node=None)
    log.stored()
    assert log.next_batch() is None


async def test_a_log_goes_with_its_run_and_only_the_newest_attempts_are_kept(database: Database) -> None:
    run = await claimed(database, await accept(database))
    line = {"n": 1, "at": 1, "source": "stdout", "text": "x", "node": None}
    for attempt in range(1, ATTEMPTS_KEPT + 3):
        batch = LogBatch.of(run.run_id, attempt, [line])
        await append_log(database, batch)
        await append_log(database, batch)
    page = await read_log(database, run.run_id, LogPosition(), limit=10)
    assert [position.attempt for position, _ in page.lines] == [*range(3, ATTEMPTS_KEPT + 3)]
    await database.execute("DELETE FROM threads WHERE thread_id = %s", (run.thread_id,))
    await append_log(database, LogBatch.of(run.run_id, 9, [line]))
    assert await database.fetch_all("SELECT 1 FROM run_logs") == []


async def test_a_database_that_is_away_takes_the_lines_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await claimed(database, await accept(database))
    refused: list[LogBatch] = []

    async def away(_: Database, batch: LogBatch) -> None:
        refused.append(batch)
        if len(refused) < 3:
            raise psycopg.OperationalError("the connection is lost")
        await append_log(database, batch)

    monkeypatch.setattr("relayrun_runner.logs.storing.append_log", away)
    monkeypatch.setattr("relayrun_runner.logs.storing._AGAIN_SECONDS", 0)
    async with RunLogs.storing(database, 10_000) as logs:
        log = logs.open(run)
        log.add("stdout", "kept", node="a")

        async def stored() -> bool:
            return bool((await read_log(database, run.run_id, LogPosition(), limit=10)).lines)

        await until_it_is(stored)
        log.add("stdout", "at the end", node="a")
    page = await read_log(database, run.run_id, LogPosition(1, 1), limit=10)
    assert [line["text"] for _, line in page.lines] == ["at the end"]
