"""A run that does no harm: `count` rounds of two steps side by side and one that adds up.

first ─ (left, right ─ sum) ⟲ count ─ last

Each step notes its effect in the store before it is done. The last one tells all that were noted.
"""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_store
from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    count: int
    pause: float
    round: int
    total: int
    done: Annotated[list[str], operator.add]
    effects: list[str]


def ledger(config: RunnableConfig) -> tuple[str, ...]:
    return ("ledger", config["configurable"]["thread_id"])


def step(name: str) -> Any:
    async def run(state: State, config: RunnableConfig) -> dict[str, Any]:
        done = f"{name} {state.get('round', 0)}"
        await get_store().aput(ledger(config), f"{uuid4()}", {"step": done})
        await asyncio.sleep(state["pause"])
        return {"done": [done]}

    return run


async def add_up(state: State) -> dict[str, Any]:
    return {"round": state.get("round", 0) + 1, "total": len(state["done"])}


async def last(state: State, config: RunnableConfig) -> dict[str, Any]:
    noted = await get_store().asearch(ledger(config), limit=1000)
    return {"effects": sorted({item.value["step"] for item in noted})}


def more(state: State) -> list[str] | str:
    return "last" if state["round"] >= state["count"] else ["left", "right"]


builder = StateGraph(State)
builder.add_node("first", step("first"))
builder.add_node("left", step("left"))
builder.add_node("right", step("right"))
builder.add_node("sum", add_up)
builder.add_node("last", last)
builder.add_edge(START, "first")
builder.add_edge("first", "left")
builder.add_edge("first", "right")
builder.add_edge(["left", "right"], "sum")
builder.add_conditional_edges("sum", more, ["left", "right", "last"])
builder.add_edge("last", END)
graph = builder.compile()
