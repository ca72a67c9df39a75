"""A model that speaks a hundred tokens, 2 ms apart, as a local one would: it matters when the first one arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph

TOKENS = 100
TOKEN_SECONDS = 0.002


class Speaker(BaseChatModel):
    """Says numbers."""

    @property
    def _llm_type(self) -> str:
        return "speaker"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:  # noqa: ARG002
        said = " ".join(map(str, range(TOKENS)))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:  # noqa: ARG002
        for number in range(TOKENS):
            yield ChatGenerationChunk(message=AIMessageChunk(f"{number} "))
            await asyncio.sleep(TOKEN_SECONDS)


async def speak(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await Speaker().ainvoke(state["messages"])]}


graph = (
    StateGraph(MessagesState)
    .add_node("speak", speak)
    .add_edge(START, "speak")
    .add_edge("speak", END)
    .compile(name="talk")
)
