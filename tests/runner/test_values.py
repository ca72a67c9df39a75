"""Values that Postgres, msgpack or JSON refuses, in each place where a run may have one: no more than that run errs."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.journal import Event, read_events
from relayrun_core.db.threads import get_thread
from relayrun_core.runs import Run
from relayrun_core.states import Reason
from tests.runner.processes import RunnerProcess, runner_process, write_agent
from tests.runner.runs import accepted
from tests.support.postgres import fresh_database
from tests.support.runs import reread

AGENT = r'''
import asyncio, math, sys
from typing import Any, TypedDict

from langchain_core.messages import AIMessage
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

HALF = "half \ud83d, \0"
Odd = TypedDict("Odd", {"case": str, "odd\0": Any}, total=False)


class Mute(Exception):
    def __str__(self):
        raise ValueError("not even that")


class Model:
    def model_dump(self):
        raise ValueError("no JSON of me")


class State(TypedDict, total=False):
    case: str
    text: Any
    more: Any


def loop():
    made = []
    made.append(made)
    return made


def deep(levels):
    made = 1
    for _ in range(levels):
        made = [made]
    return made


VALUES = {
    "text": lambda: HALF, "nan": lambda: math.nan, "infinity": lambda: -math.inf, "large": lambda: 1 << 70,
    "message": lambda: [AIMessage(HALF, id=HALF)], "keys": lambda: {HALF: {HALF: math.inf}},
    "complex": lambda: 1j, "range": lambda: range(3),
    "object": object, "loop": loop, "deep": lambda: deep(900), "deeper": lambda: deep(100_000), "model": Model,
    "function": lambda: print,
}


async def node(state: State) -> State:
    kind, _, case = state["case"].partition(":")
    match kind:
        case "state":
            return {"text": VALUES[case]()}
        case "custom":
            get_stream_writer()(VALUES[case]())
        case "ask":
            return {"text": interrupt(VALUES[case]())}
        case "raise":
            raise ValueError(HALF)
        case "mute":
            raise Mute
        case "store":
            await get_store().aput(("odd", "half \ud83d"), HALF, {HALF: VALUES[case]()})
            item = await get_store().aget(("odd", "half \ud83d"), HALF)
            found = await get_store().asearch(("odd", "half \ud83d"))
            return {"text": item.value, "more": len(found)}
        case "long":
            await get_store().aput(("odd",), "".join(chr(256 + (n * 7919) % 50_000) for n in range(9000)), {})
        case "refused":
            get_stream_writer()({"refuse": case})
            return {"text": {"refuse": case}}
    return {"more": "fine"}


async def beside(state: State) -> State:
    """Uses the store while others do."""
    for number in range(20):
        await get_store().aput(("beside",), str(number), {"n": number})
    return {"more": "fine"}


def built(schema, name, run):
    return StateGraph(schema).add_node(name, run).add_edge(START, name).compile()


async def odd(state):
    return {"odd\0": 1}


graph = built(State, "node", node)
named = built(State, "half\0", node)
channel = built(Odd, "odd", odd)
besides = built(State, "beside", beside)
'''
GRAPHS = {name: f"./agent.py:{name}" for name in ("graph", "named", "channel", "besides")}
CLEAN = "half \N{REPLACEMENT CHARACTER}, \N{REPLACEMENT CHARACTER}"
MODES = ["values", "updates", "custom", "debug"]


@pytest.fixture(scope="module")
async def url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
async def values(url: str) -> AsyncIterator[Database]:
    async with Database.open(url, role="world", max_size=4) as opened:
        yield opened


@pytest.fixture(scope="module")
async def runner(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunnerProcess]:
    config = write_agent(tmp_path_factory.mktemp("values") / "agent", AGENT, graphs=GRAPHS)
    async with runner_process(config, url, log_format="json") as process:
        await process.wait_ready()
        yield process


async def ended(values: Database, runner: RunnerProcess, case: str, graph: str = "graph") -> tuple[Run, list[Event]]:
    """The run and its journal, once it has ended in its first attempt, on a runner that lives on."""
    run_id = await accepted(values, graph, input={"case": case}, stream_modes=MODES)
    assert (await runner.put(run_id)).status_code == 202
    await until_ended(runner, run_id)
    run = await reread(values, run_id)
    events = await read_events(values, run_id, -1)
    for event in events:
        orjson.loads(event.data)
        assert b"\\u0000" not in event.data
    assert (run.attempt, events[-1].event) == (1, "end")
    return run, events


async def until_ended(runner: RunnerProcess, run_id: UUID) -> None:
    try:
        await runner.wait_state(run_id, "Finished")
    except (TimeoutError, httpx.TransportError):
        raise AssertionError(f"a value ended the process ({runner.process.poll()}): {runner.log()[-3000:]}") from None


async def state(values: Database, run: Run) -> Any:
    thread = await get_thread(values, run.thread_id)
    assert thread is not None
    return thread.values


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("text", CLEAN),
        ("nan", None),
        ("infinity", None),
        ("large", 1 << 70),
        ("keys", {CLEAN: {CLEAN: None}}),
        ("complex", None),
        ("range", None),
    ],
)
@pytest.mark.parametrize("place", ["state", "custom", "ask", "store"])
async def test_a_value_is_stored_and_told(
    values: Database, runner: RunnerProcess, place: str, value: str, told: Any
) -> None:
    run, events = await ended(values, runner, f"{place}:{value}")
    expected = Reason.WAITING_FOR_INPUT if place == "ask" else Reason.SUCCEEDED
    assert run.reason is expected, run.error
    thread = await get_thread(values, run.thread_id)
    assert thread is not None
    match place:
        case "state":
            assert thread.values == {"case": f"state:{value}", "text": told}
        case "custom":
            assert [json.loads(event.data) for event in events if event.event == "custom"] == [told]
        case "ask":
            assert [entry.value for entry in thread.interrupts] == [told]
        case "store":
            assert thread.values == {"case": f"store:{value}", "text": {CLEAN: told}, "more": 1}


async def test_a_message_with_half_an_emoji_is_told_whole(values: Database, runner: RunnerProcess) -> None:
    run, _ = await ended(values, runner, "state:message")
    assert run.reason is Reason.SUCCEEDED
    [message] = (await state(values, run))["text"]
    assert (message["content"], message["id"]) == (CLEAN, CLEAN)


@pytest.mark.parametrize("place", ["state", "ask"])
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("object", "a checkpoint cannot hold this"),
        ("function", "a checkpoint cannot hold this"),
        ("loop", "nested too deep, or holds itself"),
        ("deep", "nested too deep"),
        ("deeper", "nested too deep"),
        ("model", "no JSON of me"),
    ],
)
async def test_what_no_checkpoint_can_hold_is_an_error_of_its_run(
    values: Database, runner: RunnerProcess, place: str, value: str, sentence: str
) -> None:
    run, events = await ended(values, runner, f"{place}:{value}")
    assert run.reason is Reason.GRAPH_ERROR
    error = run.error or {}
    assert re.search(sentence, error["message"]), error
    assert json.loads(events[-2].data) == {"error": error["error"], "message": error["message"]}


@pytest.mark.parametrize(
    ("case", "name", "message"),
    [("raise:text", "ValueError", CLEAN), ("mute", "Mute", "")],
)
async def test_an_error_is_told_whatever_it_is_called_and_says(
    values: Database, runner: RunnerProcess, case: str, name: str, message: str
) -> None:
    run, events = await ended(values, runner, case)
    error = run.error or {}
    assert (run.reason, error["error"], error["message"]) == (Reason.GRAPH_ERROR, name, message)
    assert json.loads(events[-2].data) == {"error": name, "message": message}


@pytest.mark.parametrize("graph", ["named", "channel"])
async def test_a_name_that_postgres_refuses_is_an_error_of_its_run(
    values: Database, runner: RunnerProcess, graph: str
) -> None:
    run, _ = await ended(values, runner, "state:nan", graph)
    assert run.reason is Reason.GRAPH_ERROR
    assert "can not be stored" in (run.error or {})["message"], run.error


async def test_a_key_too_long_for_the_stores_index_is_an_error_of_its_run_and_of_no_other(
    values: Database, runner: RunnerProcess
) -> None:
    run_id = await accepted(values, "besides", input={"case": ""})
    await runner.put(run_id)
    run, _ = await ended(values, runner, "long")
    assert (run.reason, (run.error or {})["error"]) == (Reason.GRAPH_ERROR, "ProgramLimitExceeded")
    await until_ended(runner, run_id)
    assert (await reread(values, run_id)).reason is Reason.SUCCEEDED


@pytest.fixture
async def refusals(values: Database) -> AsyncIterator[None]:
    """A Postgres that finds some values too large, as it does beyond a quarter of a gigabyte."""
    await values.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF position('refuse:' || TG_ARGV[0] IN translate(to_jsonb(NEW)::text, '"\\ ', '')) > 0 THEN
                RAISE EXCEPTION 'total size of jsonb object elements exceeds the maximum' USING ERRCODE = '54000';
            END IF;
            RETURN NEW;
        END $$""")
    for table, name in (("threads", "finish"), ("run_events", "event")):
        await values.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse('{name}')"
        )
    yield
    await values.execute("DROP FUNCTION refuse CASCADE")


@pytest.mark.usefixtures("refusals")
@pytest.mark.parametrize("where", ["finish", "event"])
async def test_a_value_that_is_refused_late_is_an_error_of_its_run(
    values: Database, runner: RunnerProcess, where: str
) -> None:
    run, events = await ended(values, runner, f"refused:{where}")
    assert run.reason is Reason.GRAPH_ERROR
    message = (run.error or {})["message"]
    assert message.endswith(
        "can not be stored: total size of jsonb object elements exceeds the maximum. Make it smaller or plainer"
    )
    assert [event.event for event in events][-2:] == ["error", "end"]
    after, _ = await ended(values, runner, "fine")
    assert after.reason is Reason.SUCCEEDED


async def test_a_log_line_with_half_an_emoji_is_a_line_of_json(runner: RunnerProcess, values: Database) -> None:
    await ended(values, runner, "raise:text")
    lines = [json.loads(line) for line in runner.log().splitlines() if line.startswith("{")]
    assert any(CLEAN in line.get("traceback", "") for line in lines)
