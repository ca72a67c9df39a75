"""An order that waits for a person: its run stops at `approve`, survives a restart, and goes on with the answer."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class Order(TypedDict, total=False):
    """What a run begins with."""

    order: str


class State(Order, total=False):
    """What the graph knows: the order, and what became of it."""

    approved: bool
    result: str


async def approve(state: State) -> dict[str, Any]:
    """Ask a person. `interrupt` returns the answer once there is one."""
    answer = interrupt(
        {"question": "May I place this order? Answer yes or no.", "order": state.get("order", "nothing")}
    )
    return {"approved": is_yes(answer)}


def is_yes(answer: Any) -> bool:
    """What people type, or `{"approved": true}`, as programs may say it."""
    if isinstance(answer, dict):
        return bool(answer.get("approved"))
    return str(answer).strip().lower() in ("y", "yes", "true")


async def place(state: State) -> dict[str, Any]:
    """Do it, or leave it."""
    order = state.get("order", "nothing")
    return {"result": f"ordered: {order}" if state["approved"] else f"not ordered: {order}"}


graph = (
    StateGraph(State, input_schema=Order)
    .add_node("approve", approve)
    .add_node("place", place)
    .add_edge(START, "approve")
    .add_edge("approve", "place")
    .add_edge("place", END)
    .compile(name="agent")
)
