"""Histories: read in pages off the graphs' loop, each value decoded once, and told as LangGraph has them."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels import BinaryOperatorAggregate
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt
from pydantic import AfterValidator, BaseModel

from relayrun_core.database import Database
from relayrun_runner.errors import QuestionFailed
from relayrun_runner.graphs.loading import Graph
from relayrun_runner.graphs.serialize import dumps_kept
from relayrun_runner.threads.bodies import HistoryQuestion
from relayrun_runner.threads.reading import ReadingThread, ReadThrottle
from relayrun_runner.threads.reads import history_pages
from relayrun_runner.threads.sharing import SharedValues, SharingSaver, values_may_be_shared
from relayrun_runner.threads.snapshots import thread_state
from tests.runner.agents import entered
from tests.runner.processes import RunnerProcess
from tests.runner.runs import accepted
from tests.support.waiting import until

TURNS = 6


class Note(BaseModel):
    """A value of the author's; it counts how often one is made."""

    text: str

    def model_post_init(self, _: Any) -> None:
        MADE.append(self.text)


MADE: list[str] = []


class Notes(TypedDict, total=False):
    notes: Annotated[list[Note], operator.add]


async def talk(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"answer {len(state['messages'])} \U0001f98a")]}


async def note(state: Notes) -> dict[str, Any]:
    return {"notes": [Note(text=f"note {len(state['notes'])}")]}


async def noted(state: Any) -> dict[str, Any]:
    return await note({"notes": state.notes})


def marking(old: list[Any], new: list[Any]) -> list[Any]:
    """A reducer that changes what it is given, where an edit beside an answer comes."""
    for message in old if new and new[0].content == "by the way" else []:
        message.content += "!"
    return [*old, *new]


class Marked(TypedDict):
    messages: Annotated[list[Any], marking]


def ask(state: Any) -> dict[str, Any]:
    return {"messages": [HumanMessage(interrupt("who?"))]}


class NotesModel(BaseModel):
    """The same as a model without code of its own."""

    notes: Annotated[list[Note], operator.add] = []


@dataclass
class NotesClass:
    """The same as a dataclass without code of its own."""

    notes: Annotated[list[Note], operator.add] = field(default_factory=list)


def _signed(messages: list[Any]) -> list[Any]:
    for message in messages:
        message.content += "?"
    return messages


class SignedModel(BaseModel):
    """A node's input whose validator changes what it is made of."""

    messages: Annotated[list[Any], AfterValidator(_signed), operator.add] = []


@dataclass
class Signed:
    """A node's input that changes what it is made of."""

    messages: Annotated[list[Any], operator.add] = field(default_factory=list)

    def __post_init__(self) -> None:
        _signed(self.messages)


class Sealed(BinaryOperatorAggregate[Any]):
    """A channel of the author's own kind, which changes what it gives."""

    def get(self) -> Any:
        for message in super().get():
            message.content += "#"
        return super().get()


class Kept(TypedDict):
    messages: Annotated[list[Any], Sealed(list, operator.add)]


def spread(state: Any) -> list[Send]:
    return [Send("talk", {"messages": state["messages"]}) for _ in range(2)]


def _one(schema: Any, node: Any, name: str) -> StateGraph[Any, Any, Any, Any]:
    return StateGraph(schema).add_node(name, node).add_edge(START, name)


async def _said(state: Any) -> dict[str, Any]:
    return {"messages": [AIMessage("so")]}


GRAPHS: dict[str, Callable[[], Any]] = {
    "messages": lambda: _one(MessagesState, talk, "talk").compile(),
    "own values": lambda: _one(Notes, note, "note").compile(),
    "a question": lambda: _one(MessagesState, ask, "ask").compile(),
    "a reducer that changes values": lambda: _one(Marked, ask, "ask").compile(),
    "an input that changes values": lambda: _one(Signed, _said, "said").compile(),
    "a model that changes values": lambda: _one(SignedModel, _said, "said").compile(),
    "notes in a model": lambda: _one(NotesModel, noted, "note").compile(),
    "notes in a dataclass": lambda: _one(NotesClass, noted, "note").compile(),
    "a channel that changes values": lambda: _one(Kept, _said, "said").compile(),
    "a subgraph": lambda: _one(MessagesState, GRAPHS["messages"](), "inner").compile(),
    "sends": lambda: (
        StateGraph(MessagesState).add_node("talk", talk).add_conditional_edges(START, spread, ["talk"]).compile()
    ),
}


async def _talked(graph: Graph, saver: AsyncPostgresSaver, turns: int) -> UUID:
    """A thread after so many runs of the graph; questions are answered, with an edit beside the answer."""
    thread_id = uuid4()
    running = graph.copy({"checkpointer": saver})
    config: Any = {"configurable": {"thread_id": str(thread_id), "checkpoint_ns": ""}}
    for turn in range(turns):
        given = {"notes": [Note(text=f"turn {turn}")]} if "notes" in graph.channels else None
        state = await running.ainvoke(given or {"messages": [HumanMessage(f"turn {turn}")]}, config)
        if "__interrupt__" in state:
            edit = {"messages": [HumanMessage("by the way")]}
            await running.ainvoke(Command(resume="you", update=edit), config)
    return thread_id


@pytest.fixture
async def saver(shared_database: Database, shared_runner: RunnerProcess) -> AsyncPostgresSaver:
    return AsyncPostgresSaver(shared_database.pool)


async def _told(database: Database, graph: Graph, thread_id: UUID, **question: Any) -> list[bytes]:
    values = SharedValues()
    asked = HistoryQuestion(**question)
    shares = values_may_be_shared(graph, asked.checkpoint_ns)
    reading = SharingSaver(database, None, values, shares=shares)
    with values.reading():
        return [page async for page in history_pages(graph, reading, thread_id, asked, ReadThrottle(lambda: False))]


async def _as_langgraph_has_it(graph: Graph, saver: AsyncPostgresSaver, thread_id: UUID, **question: Any) -> bytes:
    asked = HistoryQuestion(**question)
    found = graph.copy({"checkpointer": saver}).aget_state_history(asked.config(thread_id), limit=asked.limit)
    return dumps_kept([thread_state(snapshot) async for snapshot in found])


@pytest.mark.parametrize("name", GRAPHS)
async def test_a_history_in_pages_is_byte_for_byte_what_langgraph_has(
    name: str, shared_database: Database, saver: AsyncPostgresSaver
) -> None:
    graph = GRAPHS[name]()
    thread_id = await _talked(graph, saver, TURNS)
    for limit in (1, 5, 7, 1000):
        pages = await _told(shared_database, graph, thread_id, limit=limit)
        assert b"".join(pages) == await _as_langgraph_has_it(graph, saver, thread_id, limit=limit)
    history = orjson.loads(b"".join(pages))
    assert len(history) > 2 * TURNS
    for select in (["next", "nothing"], ["values", "checkpoint_id"], ["values.messages"]):
        parts = orjson.loads(b"".join(await _told(shared_database, graph, thread_id, limit=1000, select=select)))
        assert [set(part) for part in parts] == [{key.partition(".")[0] for key in select} - {"nothing"}] * len(history)


async def test_a_subgraphs_history_is_told_too(shared_database: Database, saver: AsyncPostgresSaver) -> None:
    for name in ("a question", "an input that changes values"):
        graph = _one(MessagesState, GRAPHS[name](), "inner").compile()
        thread_id = await _talked(graph, saver, 2)
        rows = await shared_database.fetch_all(
            "SELECT DISTINCT checkpoint_ns AS ns FROM checkpoints WHERE thread_id = %s AND checkpoint_ns <> ''",
            (str(thread_id),),
        )
        assert len(rows) >= 2
        for row in rows:
            pages = await _told(shared_database, graph, thread_id, checkpoint_ns=row["ns"], limit=1000)
            assert b"".join(pages) == await _as_langgraph_has_it(
                graph, saver, thread_id, checkpoint_ns=row["ns"], limit=1000
            )
            assert len(pages) > 2


@pytest.mark.parametrize("name", ["own values", "notes in a model", "notes in a dataclass"])
async def test_a_value_of_many_states_is_decoded_once(
    name: str, shared_database: Database, saver: AsyncPostgresSaver
) -> None:
    graph = GRAPHS[name]()
    thread_id = await _talked(graph, saver, 40)
    MADE.clear()
    pages = await _told(shared_database, graph, thread_id, limit=1000)
    newest = orjson.loads(b"".join(pages))[0]["values"]["notes"]
    assert len(newest) == 80
    # Once for the channels and at most once more for each write that is told as a task's result.
    assert len(MADE) <= 3 * len(newest)


async def test_a_page_has_about_a_megabyte_however_long_the_history(
    shared_database: Database, saver: AsyncPostgresSaver
) -> None:
    async def much(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("x" * 200_000)]}

    graph = _one(MessagesState, much, "much").compile()
    thread_id = await _talked(graph, saver, 8)
    for select in (None, ["next"]):
        pages = await _told(shared_database, graph, thread_id, limit=1000, select=select)
        assert len(pages) > 10
        assert max(map(len, pages)) < 2_500_000
    assert len(orjson.loads(b"".join(pages))) == 24


async def _ran(runner: RunnerProcess, database: Database, thread_id: UUID, times: int) -> None:
    for _ in range(times):
        run_id = await accepted(database, "steps", thread_id=thread_id, input={"did": ["in"]})
        assert (await runner.put(run_id)).status_code == 202
        await runner.wait_state(run_id, "Finished")


async def test_histories_and_states_are_told_while_a_node_blocks_the_graphs_loop(
    shared_runner: RunnerProcess, shared_database: Database, tmp_path: Path
) -> None:
    thread_id, gate = uuid4(), tmp_path / "gate"
    await _ran(shared_runner, shared_database, thread_id, 1)
    blocking = await accepted(shared_database, "steps", input={"gate": str(gate), "block": 50.0})
    try:
        await shared_runner.put(blocking)
        await until(entered(gate))
        for path in ("history", "state"):
            answer = await shared_runner.client.get(f"/threads/{thread_id}/{path}", timeout=40)
            assert (answer.status_code, gate.exists()) == (200, False), answer.text
    finally:
        gate.touch()
    await shared_runner.wait_state(blocking, "Finished")


_BREAK = """
UPDATE checkpoint_blobs SET type = 'unknown' WHERE thread_id = %s AND channel = 'did'
    AND version = (SELECT min(version) FROM checkpoint_blobs WHERE thread_id = %s AND channel = 'did')"""


async def test_an_error_in_the_middle_of_a_history_cuts_the_connection(
    shared_runner: RunnerProcess, shared_database: Database
) -> None:
    thread_id = uuid4()
    await _ran(shared_runner, shared_database, thread_id, 2)
    path = f"/threads/{thread_id}/history"
    whole = (await shared_runner.client.get(path, params={"limit": 1000})).content
    await shared_database.execute(_BREAK, (str(thread_id), str(thread_id)))
    read = bytearray()

    async def read_on() -> None:
        async with shared_runner.client.stream("GET", path, params={"limit": 1000}) as answer:
            assert answer.status_code == 200
            async for part in answer.aiter_raw():
                read.extend(part)

    with pytest.raises(httpx.RemoteProtocolError):
        await read_on()
    assert 0 < len(read) < len(whole)
    assert whole.startswith(read)


async def test_a_history_is_refused_before_it_begins(shared_runner: RunnerProcess) -> None:
    answer = await shared_runner.client.get(f"/threads/{uuid4()}/history", params={"graph": "steps"})
    assert (answer.status_code, answer.json()["reason"]) == (404, "ThreadNotFound")


@pytest.mark.parametrize("before", [{"configurable": "x"}, {"configurable": [1]}, {"checkpoint_id": 3}])
async def test_a_place_that_is_none_is_refused(shared_runner: RunnerProcess, before: object) -> None:
    body = {"graph": "steps", "before": before}
    assert (await shared_runner.client.post(f"/threads/{uuid4()}/history", json=body)).status_code == 400


class TestReadingThread:
    """What is asked of it, from another loop."""

    @pytest.fixture
    async def reading(self, shared_url: str) -> AsyncIterator[ReadingThread]:
        with ReadingThread.serving(shared_url) as reading:
            yield reading

    async def test_a_page_is_made_when_the_one_before_was_taken(self, reading: ReadingThread) -> None:
        made: list[int] = []

        async def numbers() -> Any:
            for number in range(3):
                made.append(number)
                yield str(number).encode()

        pages = reading.pages(numbers, 60)
        for number in range(3):
            assert await anext(pages) == str(number).encode()
            assert made == list(range(number + 1))
        with pytest.raises(StopAsyncIteration):
            await anext(pages)

    async def test_a_page_whose_reader_left_is_made_to_its_end_and_no_other(self, reading: ReadingThread) -> None:
        made: list[str] = []
        go_on = asyncio.Event()
        loop: list[asyncio.AbstractEventLoop] = []

        async def numbers() -> Any:
            loop.append(asyncio.get_running_loop())
            try:
                made.append("first")
                yield b"1"
                await go_on.wait()
                made.append("second")
                yield b"2"
                made.append("third")
            finally:
                made.append("closed")

        async def read() -> None:
            async for _ in reading.pages(numbers, 60):
                asked.set()

        asked = asyncio.Event()
        task = asyncio.create_task(read())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made == ["first"]
        loop[0].call_soon_threadsafe(go_on.set)
        await until(lambda: made[-1] == "closed")
        assert made in (["first", "second", "closed"], ["first", "closed"])

    @pytest.mark.parametrize("exit_", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
    async def test_it_outlives_code_that_ends_the_process(
        self, reading: ReadingThread, exit_: type[BaseException]
    ) -> None:
        async def question() -> None:
            raise exit_("of an author")

        with pytest.raises(QuestionFailed, match=exit_.__name__):
            await reading.ask(question, 60)
        rows = await reading.ask(lambda: reading.database.fetch_all("SELECT 1 AS one"), 60)
        assert rows == [{"one": 1}]


async def test_readers_rest_while_runs_execute_and_only_then() -> None:
    async def seconds_of(busy: bool) -> float:
        pace = ReadThrottle(lambda: busy)
        await pace.rest()
        rested = 0.0
        loop = asyncio.get_running_loop()
        for _ in range(5):
            sum(range(300_000))
            began = loop.time()
            await pace.rest()
            rested += loop.time() - began
        return rested

    assert await seconds_of(busy=True) > 2 * await seconds_of(busy=False)
