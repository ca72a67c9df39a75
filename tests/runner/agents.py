"""The agent of most runner tests: nodes that wait, ask, block and ignore their cancel, as their input says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

PLAY = """
import asyncio, operator, threading, time
from pathlib import Path
from typing import Annotated, TypedDict

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    did: Annotated[list[str], operator.add]
    gate: str          # a file to wait for
    block: float       # seconds to hold up the event loop, at most: the gate ends it too


def _enter(state: State) -> None:
    if state.get("gate"):
        Path(state["gate"] + ".entered").touch()


async def first(state: State) -> State:
    if state.get("block"):
        _enter(state)
        end = time.monotonic() + state["block"]
        while time.monotonic() < end and not (state.get("gate") and Path(state["gate"]).exists()):
            time.sleep(0.05)
    return {"did": ["first"]}


async def wait(state: State) -> State:
    _enter(state)
    while state.get("gate") and not Path(state["gate"]).exists():
        await asyncio.sleep(0.02)
    return {"did": ["wait"]}


def last(state: State) -> State:
    return {"did": ["last"]}


def ask(state: State) -> State:
    return {"did": [interrupt({"question": "go on?"})]}


def _line(*nodes):
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node.__name__, node)
    builder.add_edge(START, nodes[0].__name__)
    for one, other in zip(nodes, nodes[1:]):
        builder.add_edge(one.__name__, other.__name__)
    return builder


steps = _line(first, wait, last)          # a builder, compiled by the runner
inner = _line(first, ask).compile()
asking = StateGraph(State).add_node("inner", inner).add_node("last", last)
asking.add_edge(START, "inner").add_edge("inner", "last")


def deaf(state: State) -> State:
    _enter(state)
    while not Path(state["gate"]).exists():
        time.sleep(0.02)
    return {"did": ["deaf"]}


stuck = _line(deaf).compile()
"""


def entered(gate: Path) -> Callable[[], bool]:
    """Whether a node waits at this gate."""
    return Path(f"{gate}.entered").exists


PLAY_GRAPHS = {
    "steps": {"path": "./agent.py:steps", "description": "Three steps"},
    "asking": "./agent.py:asking",
    "stuck": "./agent.py:stuck",
}
