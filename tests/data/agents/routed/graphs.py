"""A graph that tells what it was called with."""

from __future__ import annotations

from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    told: dict[str, Any]


async def tell(_: State, config: RunnableConfig) -> State:
    configurable = config["configurable"]
    return {"told": {name: value for name, value in configurable.items() if name.startswith("x-")}}


builder = StateGraph(State)
builder.add_node("tell", tell)
builder.add_edge(START, "tell")
builder.add_edge("tell", END)
echo = builder.compile()
