"""Two graphs whose steps write down when they began and ended: ten steps in a row, and a fan-out with a subgraph.

The ledger is a folder, CHAOS_LEDGER, with one file of JSON lines for each process: what it has is there, however the
process ends. A step's `effect` is new each time that it is executed; the state has the one that counted.
"""

from __future__ import annotations

import asyncio
import json
import operator
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

STEPS = 10
BRANCHES = 4

_process = uuid4().hex
_host = os.environ.get("HOSTNAME", "")
_ledger = Path(os.environ["CHAOS_LEDGER"])


class State(TypedDict, total=False):
    """`did`: steps with the effect that counted. `pause`: how long a step lasts, in seconds."""

    did: Annotated[list[list[str]], operator.add]
    pause: float


class BranchState(State, total=False):
    """A branch's own number beside."""

    branch: int


class BranchOutput(TypedDict):
    """What a branch gives back."""

    did: list[list[str]]


def note(what: str, config: RunnableConfig, step: str, effect: str) -> None:
    entry = {
        "what": what,
        "run": config["configurable"]["run_id"],
        "step": step,
        "effect": effect,
        "process": _process,
        "host": _host,
        "pid": os.getpid(),
        "at": time.time(),
    }
    with (_ledger / f"{_process}.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


async def do(step: str, state: State, config: RunnableConfig) -> dict[str, Any]:
    effect = uuid4().hex
    note("begin", config, step, effect)
    await asyncio.sleep(state.get("pause", 0.1))
    note("end", config, step, effect)
    return {"did": [[step, effect]]}


def step_of(name: str) -> Callable[[State, RunnableConfig], Awaitable[dict[str, Any]]]:
    async def run(state: State, config: RunnableConfig) -> dict[str, Any]:
        return await do(name, state, config)

    return run


def branch_step(name: str) -> Callable[[BranchState, RunnableConfig], Awaitable[dict[str, Any]]]:
    async def run(state: BranchState, config: RunnableConfig) -> dict[str, Any]:
        return await do(f"{name} {state['branch']}", state, config)

    return run


def branches(state: State) -> list[Send]:
    return [Send("branch", {"branch": number, "pause": state.get("pause", 0.1)}) for number in range(BRANCHES)]


names = [f"step {number}" for number in range(STEPS)]
steps = StateGraph(State)
for name in names:
    steps.add_node(name, step_of(name))
for one, other in zip([START, *names], [*names, END], strict=True):
    steps.add_edge(one, other)

branch = StateGraph(BranchState, output_schema=BranchOutput)
for name in ("dig", "sift", "lift"):
    branch.add_node(name, branch_step(name))
branch.add_edge(START, "dig").add_edge("dig", "sift").add_edge("sift", "lift").add_edge("lift", END)

fan = StateGraph(State)
fan.add_node("plan", step_of("plan")).add_node("branch", branch.compile()).add_node("join", step_of("join"))
fan.add_edge(START, "plan").add_conditional_edges("plan", branches, ["branch"]).add_edge("branch", "join")
fan.add_edge("join", END)
