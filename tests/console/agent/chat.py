"""A conversation: each message is answered by a tool call, its result, and an echo in markdown, word by word."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph


def call(state: MessagesState) -> dict[str, Any]:
    tool = {"name": "find_order", "args": {"order_id": "4711"}, "id": f"call_{len(state['messages'])}"}
    return {"messages": [AIMessage("", tool_calls=[tool])]}


def find(state: MessagesState) -> dict[str, Any]:
    asked = state["messages"][-1]
    assert isinstance(asked, AIMessage)
    return {"messages": [ToolMessage("a reading lamp", tool_call_id=asked.tool_calls[0]["id"])]}


async def answer(state: MessagesState) -> dict[str, Any]:
    said = next(message.text for message in reversed(state["messages"]) if message.type == "human")
    model = GenericFakeChatModel(messages=iter([AIMessage(f"You said: {said}")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("call", call)
builder.add_node("find", find)
builder.add_node("answer", answer)
builder.add_edge(START, "call")
builder.add_edge("call", "find")
builder.add_edge("find", "answer")
builder.add_edge("answer", END)
graph = builder.compile()
