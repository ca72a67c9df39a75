"""The agent of the OpenAPI document's examples: looks orders up in a subgraph, and asks before it refunds."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12


class Context(TypedDict, total=False):
    """What callers may say beside the input."""

    language: str


async def find(state: MessagesState) -> dict[str, Any]:
    return {}


async def answer(state: MessagesState) -> dict[str, Any]:
    said = str(state["messages"][-1].content)
    if said.startswith("Refund"):
        decision = interrupt({"question": "Refund 40 EUR?"})
        return {"messages": [AIMessage(f"The answer was: {decision}.")]}
    return {"messages": [AIMessage("It is on its way.")]}


_lookup = StateGraph(MessagesState)
_lookup.add_node("find", find)
_lookup.add_edge(START, "find")
_lookup.add_edge("find", END)

_graph = StateGraph(MessagesState, context_schema=Context)
_graph.add_node("lookup", _lookup.compile())
_graph.add_node("answer", answer)
_graph.add_edge(START, "lookup")
_graph.add_edge("lookup", "answer")
_graph.add_edge("answer", END)
graph = _graph.compile()
