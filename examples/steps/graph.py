"""A refund in many steps: four of them in parallel, one that waits for a person, and every effect written down.

    receive ─ look_up ─┬─ fetch_orders ───┬─ weigh ─ draft ─ approve ─ refund ─ write_receipt ─ close
                       ├─ fetch_payments ─┤                  (waits)
                       ├─ fetch_shipping ─┤
                       └─ fetch_policy ───┘

Each step first has its effect (one more line in the log) and then takes its time, as a step does that calls
another system: a crash in between leaves the effect without the result, and the step is done again.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import operator
import os
import time
from pathlib import Path
from typing import Annotated, Any, Protocol, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    """What a refund knows.

    step_seconds: how long a step takes (default 0.5); the n-th parallel one takes n times as long.
    side_effects: the log's path, else the environment's STEPS_LOG, else side-effects.log in the working folder.
    """

    step_seconds: float
    side_effects: str
    done: Annotated[list[str], operator.add]
    approved: bool


class Step(Protocol):
    """A node of the graph."""

    async def __call__(self, state: State, config: RunnableConfig) -> dict[str, Any]: ...


BEFORE = ["receive", "look_up"]
IN_PARALLEL = ["fetch_orders", "fetch_payments", "fetch_shipping", "fetch_policy"]
AFTER = ["weigh", "draft"]
ONCE_APPROVED = ["refund", "write_receipt", "close"]


def step(name: str, times_as_long: float = 1.0) -> Step:
    """A step that does nothing but have its effect and take its time."""

    async def run(state: State, config: RunnableConfig) -> dict[str, Any]:
        await have_effect(name, state, config)
        await asyncio.sleep(state.get("step_seconds", 0.5) * times_as_long)
        return {"done": [name]}

    return run


async def approve(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Waits for a person. The effect comes after the answer: what stands before `interrupt` happens twice."""
    answer = interrupt({"question": "Refund 42.00 EUR?", "seen": sorted(state["done"])})
    approved = bool(answer.get("approved")) if isinstance(answer, dict) else answer is True
    await have_effect("approve", state, config)
    return {"done": ["approve"], "approved": approved}


def after_approval(state: State) -> str:
    return "refund" if state.get("approved") else "close"


async def have_effect(name: str, state: State, config: RunnableConfig) -> None:
    """Appends one line. Its key is the same when a crash makes the step run again, and no other step's:

    another system that is given this key can tell a repetition from a second refund.
    """
    line = {
        "step": name,
        "key": config["configurable"]["checkpoint_ns"],
        "thread": config["configurable"]["thread_id"],
        "pid": os.getpid(),
        "time": time.time(),
    }
    path = Path(state.get("side_effects") or os.environ.get("STEPS_LOG") or "side-effects.log")
    await asyncio.to_thread(append, path, json.dumps(line) + "\n")


def append(path: Path, line: str) -> None:
    """In one write: lines of two processes do not mix."""
    with path.open("ab", buffering=0) as log:
        log.write(line.encode())


def build() -> StateGraph[State]:
    builder = StateGraph(State)
    for name in BEFORE + AFTER + ONCE_APPROVED:
        builder.add_node(name, step(name))
    for number, name in enumerate(IN_PARALLEL, start=1):
        builder.add_node(name, step(name, times_as_long=number))
        builder.add_edge(BEFORE[-1], name)
    builder.add_node("approve", approve)
    builder.add_edge(IN_PARALLEL, AFTER[0])
    in_a_row = [[START, *BEFORE], [*AFTER, "approve"], [*ONCE_APPROVED, END]]
    for row in in_a_row:
        for one, next_one in itertools.pairwise(row):
            builder.add_edge(one, next_one)
    builder.add_conditional_edges("approve", after_approval, ["refund", "close"])
    return builder


graph = build().compile(name="refund")
