"""A conversation without a language model: it says back what was said, word by word, as a model streams."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph


async def answer(state: MessagesState) -> dict[str, Any]:
    """Where your model would be called."""
    heard = state["messages"][-1].text
    times = sum(1 for message in state["messages"] if message.type == "human")
    model = GenericFakeChatModel(messages=iter([AIMessage(f"Message {times} of this thread was: {heard}")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = (
    StateGraph(MessagesState)
    .add_node("answer", answer)
    .add_edge(START, "answer")
    .add_edge("answer", END)
    .compile(name="chat")
)
