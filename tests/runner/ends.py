"""An agent whose graphs end in many ways, and a runner that executes them to their ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.heads import newest_state
from tests.runner.processes import RunnerProcess
from tests.runner.runs import accepted
from tests.support.waiting import until

ENDS = """
import asyncio, operator
from pathlib import Path
from typing import Annotated, TypedDict

from langchain_core.messages import AIMessage
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


class Given(TypedDict, total=False):
    did: Annotated[list, operator.add]
    gate: str


class State(Given, total=False):
    zebra: dict
    a: float
    secret: str


class Told(TypedDict, total=False):
    did: Annotated[list, operator.add]


def step(state): return {"did": ["step"], "zebra": {"z": 1, "a": {"long key": 2, "b": 3}}, "a": 1.0}
def hide(state): return {"did": ["hid"], "secret": "password"}
def ask(state): return {"did": [interrupt({"zz": "one?", "a": 1})]}
def ask_more(state): return {"did": [interrupt("two?")]}
def fail(state): raise ValueError("it is broken")
def speak(state): return {"messages": [AIMessage("hello", id="m1", additional_kwargs={"z": 1, "a": 2})]}


async def hold(state):
    Path(state["gate"] + ".entered").touch()
    while not Path(state["gate"]).exists():
        await asyncio.sleep(0.02)
    return {"did": ["held"]}


def _line(*nodes, state=State, **more):
    graph = StateGraph(state, **more)
    before = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    return graph


plain = _line(step, hide).compile()
talk = _line(speak, state=MessagesState).compile()
asks = _line(step, ask).compile()
fails = _line(step, fail).compile()
holds = _line(step, hold).compile()
private_holds = _line(hide, hold, input_schema=Given, output_schema=Told).compile()
private = _line(step, hide, input_schema=Given, output_schema=Told).compile()
private_asks = _line(hide, ask, input_schema=Given, output_schema=Told).compile()
many = StateGraph(State)
for _node in (ask, ask_more, step, fail)[:3]:
    many.add_node(_node.__name__, _node).add_edge(START, _node.__name__)
many = many.compile()
half = StateGraph(State)
for _node in (ask, fail, step):
    half.add_node(_node.__name__, _node).add_edge(START, _node.__name__)
half = half.compile()
nested = StateGraph(State).add_node("inner", _line(step, ask).compile()).add_node("hide", hide)
nested = nested.add_edge(START, "inner").add_edge("inner", "hide").compile()

around = StateGraph(State, input_schema=Given, output_schema=Told).add_node("inner", private).add_edge(START, "inner")
around = around.compile()


@entrypoint()
async def function(word: str) -> str:
    return word.upper()


@entrypoint()
async def function_asks(word: str) -> str:
    return word + interrupt("sure?")


def made(config):
    return plain
"""
ENDS_GRAPHS = (
    *("plain", "talk", "asks", "fails", "holds", "private", "private_asks", "many", "half", "nested"),
    *("function", "function_asks", "made", "private_holds", "around"),
)
GIVEN = {"did": ["given"]}


@dataclass
class Place:
    """A runner and its database."""

    runner: RunnerProcess
    database: Database

    async def start(self, graph: str, thread_id: UUID, **spec: Any) -> UUID:
        """A run that is under way."""
        run_id = await accepted(self.database, graph, thread_id=thread_id, **spec)
        assert (await self.runner.put(run_id)).status_code == 202
        return run_id

    async def run(self, graph: str, thread_id: UUID, given: Any = None, **spec: Any) -> UUID:
        """A run that has ended."""
        spec = spec if "command" in spec else {"input": GIVEN if given is None else given, **spec}
        run_id = await self.start(graph, thread_id, **spec)
        await self.runner.wait_state(run_id, "Finished")
        return run_id

    async def holding(self, thread_id: UUID, gate: Path) -> UUID:
        """A run whose node waits."""
        run_id = await self.start("holds", thread_id, input={**GIVEN, "gate": str(gate)})
        await until(lambda: Path(f"{gate}.entered").exists())
        return run_id

    async def edit(self, thread_id: UUID, **body: Any) -> None:
        answer = await self.runner.client.post(f"/threads/{thread_id}/state", json=body)
        assert answer.status_code == 200, answer.text

    async def told(self, thread_id: UUID, **params: Any) -> bytes:
        """What the runner says."""
        answer = await self.runner.client.get(f"/threads/{thread_id}/state", params=params)
        assert answer.status_code == 200, answer.text
        return answer.content

    async def kept(self, thread_id: UUID) -> bytes | None:
        """What the finish has kept."""
        newest = await newest_state(self.database, thread_id)
        return newest and newest.json()
