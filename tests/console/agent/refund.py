"""A refund that a person approves: the questions are those of LangChain's human-in-the-loop middleware."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class Refund(TypedDict, total=False):
    order: str
    amount: float
    decision: str
    told: str


def look_up(state: Refund) -> Refund:
    return {"amount": 42.0}


def approve(state: Refund) -> Refund:
    action = {"name": "refund", "args": {"order": state["order"], "amount": state["amount"]}}
    action["description"] = f"Refund {state['amount']:.2f} EUR for order {state['order']}?"
    allowed = {"action_name": "refund", "allowed_decisions": ["approve", "edit", "reject"]}
    answer: Any = interrupt({"action_requests": [action], "review_configs": [allowed]})
    return {"decision": answer["decisions"][0]["type"]}


def tell(state: Refund) -> Refund:
    return {"told": "Refunded." if state["decision"] == "approve" else "Not refunded."}


builder = StateGraph(Refund)
builder.add_node("look_up", look_up)
builder.add_node("approve", approve)
builder.add_node("tell", tell)
builder.add_edge(START, "look_up")
builder.add_edge("look_up", "approve")
builder.add_edge("approve", "tell")
builder.add_edge("tell", END)
graph = builder.compile()
