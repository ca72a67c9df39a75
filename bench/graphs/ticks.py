"""A loop of short steps (50 ms by default): a SIGKILL at any time lands in the middle of a run.

Each step says which process executed it, so that whoever measures knows what to kill.
"""

from __future__ import annotations

import asyncio
import os
from typing import TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    """How many ticks are done, of how many, each lasting `step_ms`, and process and host of the last one."""

    done: int
    steps: int
    step_ms: float
    pid: int
    host: str


async def tick(state: State) -> State:
    await asyncio.sleep(state.get("step_ms", 50.0) / 1000)
    return {"done": state.get("done", 0) + 1, "pid": os.getpid(), "host": os.environ.get("HOSTNAME", "")}


def another_or_end(state: State) -> str:
    return "tick" if state.get("done", 0) < state.get("steps", 20) else END


graph = (
    StateGraph(State)
    .add_node("tick", tick)
    .add_edge(START, "tick")
    .add_conditional_edges("tick", another_or_end, ["tick", END])
    .compile(name="ticks")
)
