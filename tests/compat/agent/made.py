"""Graphs that a factory makes of the config it is given: the node's name says what that was."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    topic: str
    done: Annotated[list[str], operator.add]


def inner(kind: str) -> Any:
    graph = StateGraph(State)
    graph.add_node(f"below_{kind}", lambda _: {"done": [f"below {kind}"]})
    graph.add_edge(START, f"below_{kind}")
    return graph.compile()


def make(config: RunnableConfig) -> Any:
    kind = config.get("configurable", {}).get("kind", "none")
    graph = StateGraph(State)
    graph.add_node(f"of_{kind}", lambda _: {"done": [kind]})
    graph.add_node("sub", inner(kind))
    graph.add_edge(START, f"of_{kind}")
    graph.add_edge(f"of_{kind}", "sub")
    graph.add_edge("sub", END)
    return graph.compile()


named = make({}).copy({"name": "ReAct Agent"})
