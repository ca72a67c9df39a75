"""A stand-in for a language model: says what a script says, word by word, and calls the same tools.

It needs no key and no network, and says the same to the same conversation each time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import sha256
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

# About as quick as a small model.
SECONDS_A_WORD = 0.03

HELP = (
    "I am a scripted model: I know two sentences and two tools. Ask me “Where is order 4711?” or say"
    " “Please refund order 4711”. Set CHAT_MODEL for a model that understands more."
)


class ScriptedModel(BaseChatModel):
    """Looks an order up when a message names one, and refunds it when the message says so."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],  # noqa: ARG002 - the base's name
        **_: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The script knows its tools."""
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=next_message(messages))])

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        said = next_message(messages)
        for word in re.findall(r"\s*\S+", str(said.content)):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
            await asyncio.sleep(SECONDS_A_WORD)
        for index, call in enumerate(said.tool_calls):
            order = call["args"]["order_id"]
            piece = tool_call_chunk(name=call["name"], args=f'{{"order_id": "{order}"}}', id=call["id"], index=index)
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))


def next_message(messages: Sequence[BaseMessage]) -> AIMessage:
    """What the script says next."""
    last = messages[-1]
    wish = next((message.text for message in reversed(messages) if isinstance(message, HumanMessage)), "")
    order = re.search(r"\b\d{4}\b", wish)
    if order is None:
        return AIMessage(HELP)
    if not isinstance(last, ToolMessage):
        return _call("find_order", order[0], f"Let me look at order {order[0]}.", messages)
    if last.name == "find_order" and last.status == "success" and "refund" in wish.lower():
        return _call("refund", order[0], "I found it. A refund needs the approval of a person.", messages)
    return AIMessage(f"{last.text} Is there anything else?")


def _call(tool: str, order: str, text: str, messages: Sequence[BaseMessage]) -> AIMessage:
    # The same at the same place of the same conversation, and no other's: the tools use it as a key.
    told = "\n".join(f"{message.id} {message.text}" for message in messages)
    identity = sha256(f"{tool} {order} {told}".encode()).hexdigest()[:12]
    return AIMessage(text, tool_calls=[{"name": tool, "args": {"order_id": order}, "id": f"call_{identity}"}])
