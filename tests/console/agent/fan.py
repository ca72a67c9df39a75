"""Steps beside each other in a subgraph. They wait until the file `gate` is there.

With `hold` that one alone waits, and `fail` says which one fails.
"""

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send


class Job(TypedDict, total=False):
    topics: list[str]
    gate: str
    hold: str
    fail: str
    notes: Annotated[list[str], operator.add]
    report: str


class Topic(TypedDict, total=False):
    topic: str
    gate: str
    hold: str
    fail: str
    notes: Annotated[list[str], operator.add]


def plan(state: Job) -> Job:
    return {"topics": state.get("topics") or ["lamps", "chairs", "tables"]}


def each(state: Job) -> list[Send]:
    rest: dict[str, Any] = {"gate": state.get("gate", ""), "hold": state.get("hold", ""), "fail": state.get("fail", "")}
    return [Send("research", {"topic": topic, **rest}) for topic in state["topics"]]


async def read(state: Topic) -> Topic:
    waits = state["gate"] and state["hold"] in ("", state["topic"])
    while waits and not await asyncio.to_thread(Path(state["gate"]).exists):
        await asyncio.sleep(0.02)
    if state["topic"] == state["fail"]:
        raise ValueError(f"nothing is known about {state['topic']}")
    return {}


def note(state: Topic) -> Topic:
    return {"notes": [f"{state['topic']}: read"]}


def report(state: Job) -> Job:
    return {"report": ", ".join(state["notes"])}


class Notes(TypedDict):
    notes: list[str]


research = StateGraph(Topic, output_schema=Notes)
research.add_node("read", read)
research.add_node("note", note)
research.add_edge(START, "read")
research.add_edge("read", "note")
research.add_edge("note", END)

builder = StateGraph(Job)
builder.add_node("plan", plan)
builder.add_node("research", research.compile())
builder.add_node("report", report)
builder.add_edge(START, "plan")
builder.add_conditional_edges("plan", each, ["research"])
builder.add_edge("research", "report")
builder.add_edge("report", END)
graph = builder.compile()
