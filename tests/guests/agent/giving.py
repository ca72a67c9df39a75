"""Gives a value at a place: in the state at the top or nested, in a message, a question, an event, the store.

act ─ last
"""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from values import VALUES


class State(TypedDict, total=False):
    place: str
    what: str
    value: Any
    messages: Annotated[list[Any], add_messages]
    done: Annotated[list[str], operator.add]


async def act(state: State) -> dict[str, Any]:
    value = VALUES[state["what"]]()
    match state["place"]:
        case "top":
            return {"value": value, "done": ["act"]}
        case "nested":
            return {"value": {"list": [value], "deeper": {"value": value}}, "done": ["act"]}
        case "key":
            return {"value": {value: 1}, "done": ["act"]}
        case "message":
            return {"messages": [AIMessage(f"{value}", additional_kwargs={"value": value})], "done": ["act"]}
        case "question":
            return {"value": interrupt({"value": value}), "done": ["act"]}
        case "event":
            get_stream_writer()({"value": value})
        case "store":
            await get_store().aput(("guests",), "value", {"value": value})
        case "error":
            raise ValueError(value)
    return {"done": ["act"]}


async def last(state: State) -> dict[str, Any]:
    return {"done": ["last"]}


builder = StateGraph(State)
builder.add_node("act", act)
builder.add_node("last", last)
builder.add_edge(START, "act")
builder.add_edge("act", "last")
builder.add_edge("last", END)
graph = builder.compile()
