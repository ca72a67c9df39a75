"""Graphs that fail, or return what a database can not hold."""

from __future__ import annotations

from typing import Any, TypedDict

import bombs  # noqa: F401 - lays them
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from witness import visit

TEXTS = {"nul": "a\0b", "surrogate": "a\ud800b", "both": "\0\udfff"}


class State(TypedDict, total=False):
    kind: str
    text: str
    after: bool


async def prepare(state: State, config: RunnableConfig) -> dict[str, Any]:
    await visit("prepare", config)
    return {"text": "fine"}


async def fail(state: State, config: RunnableConfig) -> dict[str, Any]:
    await visit("fail", config)
    raise ValueError(f"no such kind: {state['kind']}")


async def write(state: State, config: RunnableConfig) -> dict[str, Any]:
    await visit("write", config)
    return {"text": TEXTS[state["kind"]]}


async def after(state: State, config: RunnableConfig) -> dict[str, Any]:
    await visit("after", config)
    return {"after": True}


def row(**nodes: Any) -> StateGraph[State]:
    builder = StateGraph(State)
    before = START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, END)
    return builder


broken = row(prepare=prepare, fail=fail, after=after).compile()
odd = row(prepare=prepare, write=write, after=after).compile()
