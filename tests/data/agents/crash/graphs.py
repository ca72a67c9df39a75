"""Graphs that are killed: in a row, side by side, one inside the other, many steps, and one that kills.

line    a ─ b ─ c ─ d                 (c is sync; guarded: the same, stops before c; checked: stops after b)
fan     start ─┬─ left ──┬─ join
               └─ right ─┘
nested  first ─ (one ─ two ─ three) ─ last
keeps   the same, and the inner graph keeps its state from run to run
ticks   tick ↺ until `count` reaches `upto`
talk    one step that tells `upto` words
work    take ─┬─ mill ──┬─ polish ─ ship
              └─ paint ─┘
"""

from __future__ import annotations

import asyncio
import itertools
import operator
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypedDict

import bombs  # noqa: F401 - lays them
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from witness import visit, visit_in_thread


class State(TypedDict, total=False):
    done: Annotated[list[str], operator.add]
    inner: list[str]
    count: int
    upto: int
    pause: float


class InnerState(TypedDict, total=False):
    inner: Annotated[list[str], operator.add]


Node = Callable[[Any, RunnableConfig], Awaitable[dict[str, Any]]]


def step(name: str, key: str = "done") -> Node:
    async def run(state: Any, config: RunnableConfig) -> dict[str, Any]:
        await visit(name, config)
        await asyncio.sleep(state.get("pause", 0))
        return {key: [name]}

    return run


def sync_step(name: str) -> Callable[[State, RunnableConfig], dict[str, Any]]:
    def run(state: State, config: RunnableConfig) -> dict[str, Any]:
        visit_in_thread(name, config)
        return {"done": [name]}

    return run


def in_a_row(builder: StateGraph[Any], *names: str) -> StateGraph[Any]:
    for one, other in itertools.pairwise(names):
        builder.add_edge(one, other)
    return builder


def line_builder() -> StateGraph[State]:
    builder = StateGraph(State)
    for name in ("a", "b", "d"):
        builder.add_node(name, step(name))
    builder.add_node("c", sync_step("c"))
    return in_a_row(builder, START, "a", "b", "c", "d", END)


def side_by_side(first: str, branches: tuple[str, str], *after: str) -> StateGraph[State]:
    builder = StateGraph(State)
    for name in (first, *branches, *after):
        builder.add_node(name, step(name))
    for branch in branches:
        builder.add_edge(first, branch)
    builder.add_edge(START, first)
    builder.add_edge(list(branches), after[0])
    return in_a_row(builder, *after, END)


def nested_builder(*, keeps: bool = False) -> StateGraph[State]:
    inner = StateGraph(InnerState)
    for name in ("one", "two", "three"):
        inner.add_node(name, step(name, "inner"))
    in_a_row(inner, START, "one", "two", "three", END)
    builder = StateGraph(State)
    builder.add_node("first", step("first"))
    builder.add_node("inside", inner.compile(checkpointer=True if keeps else None))
    builder.add_node("last", step("last"))
    return in_a_row(builder, START, "first", "inside", "last", END)


async def tick(state: State, config: RunnableConfig) -> dict[str, Any]:
    number = state.get("count", 0) + 1
    await visit(f"tick {number}", config)
    get_stream_writer()({"tick": number})
    await asyncio.sleep(state.get("pause", 0))
    return {"count": number}


async def talk_on(state: State, config: RunnableConfig) -> dict[str, Any]:
    await visit("talk", config)
    tell = get_stream_writer()
    for number in range(state["upto"]):
        tell({"word": number})
        await asyncio.sleep(state.get("pause", 0))
    return {"done": ["talk"]}


def talk_builder() -> StateGraph[State]:
    builder = StateGraph(State)
    builder.add_node("talk", talk_on)
    return in_a_row(builder, START, "talk", END)


def ticks_builder() -> StateGraph[State]:
    builder = StateGraph(State)
    builder.add_node("tick", tick)
    builder.add_edge(START, "tick")
    builder.add_conditional_edges("tick", lambda state: END if state["count"] >= state["upto"] else "tick")
    return builder


async def kill(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Takes its process with it, every time, before it has done anything."""
    await visit("kill", config)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def poison_builder() -> StateGraph[State]:
    builder = StateGraph(State)
    builder.add_node("kill", kill)
    return in_a_row(builder, START, "kill", END)


line = line_builder().compile()
guarded = line_builder().compile(interrupt_before=["c"])
checked = line_builder().compile(interrupt_after=["b"])
fan = side_by_side("start", ("left", "right"), "join").compile()
nested = nested_builder().compile()
keeps = nested_builder(keeps=True).compile()
ticks = ticks_builder().compile()
talk = talk_builder().compile()
work = side_by_side("take", ("mill", "paint"), "polish", "ship").compile()
poison = poison_builder().compile()
