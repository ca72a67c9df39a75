"""Three nodes in a row that do nothing: what remains is the price of the platform. No LLM."""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    """What the nodes append to."""

    passed: Annotated[list[str], operator.add]


async def first(state: State) -> State:  # noqa: ARG001
    return {"passed": ["first"]}


async def second(state: State) -> State:  # noqa: ARG001
    return {"passed": ["second"]}


async def third(state: State) -> State:  # noqa: ARG001
    return {"passed": ["third"]}


graph = (
    StateGraph(State)
    .add_node("first", first)
    .add_node("second", second)
    .add_node("third", third)
    .add_edge(START, "first")
    .add_edge("first", "second")
    .add_edge("second", "third")
    .add_edge("third", END)
    .compile(name="three")
)
