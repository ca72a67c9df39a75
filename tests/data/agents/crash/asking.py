"""Graphs that ask a person.

ask         plan ─ ask ─ act
ask_twice   plan ─ ask (two questions) ─ act
ask_both    plan ─┬─ left (asks) ───┬─ act
                  └─ right (asks) ──┘
ask_inside  plan ─ (ask ─ again) ─ act
tally       plan ─ ask ─ act, and a sum
"""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypedDict

import bombs  # noqa: F401 - lays them
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from witness import note, task_of, visit


class State(TypedDict, total=False):
    done: Annotated[list[str], operator.add]
    answers: Annotated[list[str], operator.add]


class SumState(State, total=False):
    total: Annotated[int, operator.add]


class InnerState(TypedDict, total=False):
    answers: Annotated[list[str], operator.add]


class OuterState(TypedDict, total=False):
    done: Annotated[list[str], operator.add]
    answers: list[str]


Node = Callable[[Any, RunnableConfig], Awaitable[dict[str, Any]]]


def step(name: str) -> Node:
    async def run(state: Any, config: RunnableConfig) -> dict[str, Any]:
        await visit(name, config)
        return {"done": [name]}

    return run


def asking(name: str, *questions: str) -> Node:
    """A node that asks, and has its side effect (`<name> told`) once all is answered."""

    async def run(state: Any, config: RunnableConfig) -> dict[str, Any]:
        configurable = config["configurable"]
        note("asks", configurable["thread_id"], configurable["run_id"], step=name, task=task_of(config))
        answers = [f"{question} {interrupt(question)}" for question in questions]
        await visit(f"{name} told", config)
        return {"answers": answers}

    return run


def row(*nodes: tuple[str, Any], state: Any = State) -> StateGraph[Any]:
    builder = StateGraph(state)
    before = START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, END)
    return builder


def both_builder() -> StateGraph[State]:
    builder = StateGraph(State)
    builder.add_node("plan", step("plan"))
    builder.add_node("left", asking("left", "left?"))
    builder.add_node("right", asking("right", "right?"))
    builder.add_node("act", step("act"))
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "left")
    builder.add_edge("plan", "right")
    builder.add_edge(["left", "right"], "act")
    builder.add_edge("act", END)
    return builder


ask = row(("plan", step("plan")), ("ask", asking("ask", "ok?")), ("act", step("act"))).compile()
ask_twice = row(("plan", step("plan")), ("ask", asking("ask", "one?", "two?")), ("act", step("act"))).compile()
ask_both = both_builder().compile()
_inside = row(("ask", asking("ask", "ok?")), ("again", asking("again", "sure?")), state=InnerState).compile()
ask_inside = row(("plan", step("plan")), ("inside", _inside), ("act", step("act")), state=OuterState).compile()
tally = row(("plan", step("plan")), ("ask", asking("ask", "ok?")), ("act", step("act")), state=SumState).compile()
