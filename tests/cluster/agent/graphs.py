"""What the cluster tests run.

quick   one ─ two ─ three, at once
slow    work … work: `count` steps of `step_seconds` each
fails   work, then a ValueError
asks    waits for a person, in a node that each generation of the image calls otherwise
hog     takes memory until it is ended
delegates   makes a thread, and has another graph run on it, by the API that it calls without an address
"""

from __future__ import annotations

import asyncio
import operator
import os
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from langgraph_sdk import get_client


class State(TypedDict, total=False):
    """count and step_seconds: of `slow`. done: the steps. by: the pod of each. generation: of the image of `asks`."""

    count: int
    step_seconds: float
    done: Annotated[list[str], operator.add]
    by: Annotated[list[str], operator.add]
    thread: str
    generation: str


def _step(name: str) -> Any:
    async def run(state: State) -> dict[str, Any]:
        return {"done": [name], "by": [os.environ["HOSTNAME"]]}

    return run


async def _work(state: State) -> dict[str, Any]:
    await asyncio.sleep(state.get("step_seconds", 0.2))
    return {"done": [str(len(state.get("done", [])))], "by": [os.environ["HOSTNAME"]]}


def _more(state: State) -> str:
    return "work" if len(state["done"]) < state.get("count", 10) else END


async def _fail(state: State) -> dict[str, Any]:
    raise ValueError("the shelf is empty")


async def _ask(state: State) -> dict[str, Any]:
    return {"done": [f"answered {interrupt('go on?')}"], "generation": os.environ["GENERATION"]}


async def _hog(state: State) -> dict[str, Any]:
    taken = []
    while True:
        taken.append(bytearray(os.urandom(1 << 20) * 16))
        await asyncio.sleep(0)


def _row(*nodes: tuple[str, Any]) -> Any:
    builder = StateGraph(State)
    before = START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, END)
    return builder.compile()


async def _delegate(_state: State) -> State:
    client = get_client()
    thread = (await client.threads.create())["thread_id"]
    values: Any = await client.runs.wait(thread, f"{os.environ['RELAYRUN_AGENT']}/quick", input={})
    return {"thread": thread, "done": values["done"]}


def _loop() -> Any:
    builder = StateGraph(State)
    builder.add_node("work", _work)
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", _more, ["work", END])
    return builder.compile().with_config(recursion_limit=1000)


quick = _row(("one", _step("one")), ("two", _step("two")), ("three", _step("three")))
slow = _loop()
fails = _row(("work", _step("work")), ("fail", _fail))
asks = _row((f"ask_{os.environ['GENERATION']}", _ask))
hog = _row(("hog", _hog))
delegates = _row(("delegate", _delegate))
