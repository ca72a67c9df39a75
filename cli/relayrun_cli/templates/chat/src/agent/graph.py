"""A chat: what was said so far goes to a language model, and its answer is added."""

from __future__ import annotations

import os
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph


def choose_model() -> Any:
    """The model that MODEL names in .env; None without one."""
    name = os.environ.get("MODEL")
    if not name:
        return None
    from langchain.chat_models import init_chat_model

    return init_chat_model(name)


model = choose_model()


async def answer(state: MessagesState) -> dict[str, Any]:
    """Let the model speak. Without one, repeat what the person said."""
    if model is None:
        return {"messages": [AIMessage(f"You said: {state['messages'][-1].text}")]}
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = (
    StateGraph(MessagesState)
    .add_node("answer", answer)
    .add_edge(START, "answer")
    .add_edge("answer", END)
    .compile(name="agent")
)
