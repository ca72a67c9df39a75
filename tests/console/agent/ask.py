"""Questions as people ask them: `kind` says which shape."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Question(TypedDict, total=False):
    kind: str
    answer: Any


class Stay(TypedDict):
    nights: int
    breakfast: bool


def ask(state: Question) -> Question:
    kind = state.get("kind", "text")
    if kind == "inbox":  # agent-inbox's HumanInterrupt
        config = {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": True}
        request = {"action": "book_room", "args": {"nights": 2, "city": "Rome"}}
        return {"answer": interrupt([{"action_request": request, "config": config, "description": "Book **it**?"}])}
    if kind == "schema":
        return {"answer": interrupt({"question": "Which stay?"}, response_schema=Stay)}
    return {"answer": interrupt("What is your name?")}


builder = StateGraph(Question)
builder.add_node("ask", ask)
builder.add_edge(START, "ask")
builder.add_edge("ask", END)
graph = builder.compile()
