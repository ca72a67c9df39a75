"""Runs that kill their process wherever it picks them up, and look busy before.

anew      works in a subgraph that no other attempt goes on with, then kills
handled   fails, and the handler of that error kills
asked     asks a question, while the branch beside it kills
remembers works in a subgraph that keeps its state between runs, then kills
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, TypedDict
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from witness import visit


class State(TypedDict, total=False):
    seen: int


async def kill(state: State, config: RunnableConfig) -> dict[str, Any]:
    await visit("kill", config)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


async def look(state: State) -> dict[str, Any]:
    return {"seen": state.get("seen", 0) + 1}


_looking = StateGraph(State).add_node("look", look).add_edge(START, "look").add_edge("look", END)
_inner = _looking.compile()


async def begin_anew(state: State, config: RunnableConfig) -> dict[str, Any]:
    place = {"configurable": {"checkpoint_ns": f"anew-{uuid4()}"}}
    await _inner.ainvoke({"seen": 1}, place)
    return await kill(state, config)


async def fail(state: State) -> dict[str, Any]:
    raise ValueError("on purpose")


async def ask(state: State) -> dict[str, Any]:
    return {"seen": interrupt("how many?")}


async def kill_later(state: State, config: RunnableConfig) -> dict[str, Any]:
    await asyncio.sleep(0.3)  # the question is recorded meanwhile
    return await kill(state, config)


anew = StateGraph(State).add_node("begin", begin_anew).add_edge(START, "begin").compile()
handled = StateGraph(State).add_node("fail", fail, error_handler=kill).add_edge(START, "fail").compile()
asked = (
    StateGraph(State)
    .add_node("ask", ask)
    .add_node("kill", kill_later)
    .add_edge(START, "ask")
    .add_edge(START, "kill")
    .compile()
)
remembers = (
    StateGraph(State)
    .add_node("look", _looking.compile(checkpointer=True))
    .add_node("kill", kill)
    .add_edge(START, "look")
    .add_edge("look", "kill")
    .compile()
)
