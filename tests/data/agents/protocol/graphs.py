"""Graphs for clients of the event protocol, with a model that needs nobody.

chat        model ⇄ tools: "look" has a tool called, anything else is said back word by word, "slowly …" slowly
nested      research (scout (model)) ─ model
counts      count
ask         count ─ ask (two questions, one after the other)
ask_inside  inner (ask)
fails       count ─ fail
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12


class Echo(BaseChatModel):
    """Says back what it hears, or has a tool called."""

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _answer(self, messages: list[BaseMessage]) -> list[AIMessageChunk]:
        heard = str(messages[-1].content)
        if isinstance(messages[-1], HumanMessage) and heard == "look":
            slices = ('{"at": ', '"the sea"}')
            call = AIMessageChunk("", tool_call_chunks=[{"id": "call-1", "name": "look", "args": "", "index": 0}])
            rest = [{"id": None, "name": None, "args": text, "index": 0} for text in slices]
            return [call, *(AIMessageChunk("", tool_call_chunks=[each]) for each in rest)]
        return [AIMessageChunk(f"{word} ") for word in heard.split()]

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        chunks = self._answer(messages)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("".join(str(one.content) for one in chunks)))])

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        # A file that the test makes once it listens.
        gate = messages[-1].additional_kwargs.get("gate")
        while gate and not Path(gate).exists():  # noqa: ASYNC240 - in memory, and only in a test
            await asyncio.sleep(0.02)
        for chunk in self._answer(messages):
            await asyncio.sleep(0.1 if str(messages[-1].content).startswith("slowly") else 0)
            yield ChatGenerationChunk(message=chunk)


class Counting(TypedDict, total=False):
    """What the graphs without messages have."""

    count: Annotated[int, operator.add]
    answers: list[str]


@tool
async def look(at: str) -> str:
    """Look at something."""
    return f"{at} is blue"


async def model(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await Echo().ainvoke(state["messages"])]}


def calls(state: MessagesState) -> str:
    return "tools" if getattr(state["messages"][-1], "tool_calls", None) else END


async def count(state: Counting) -> Counting:
    get_stream_writer()({"name": "progress", "counted": 1})
    return {"count": 1}


async def ask_twice(state: Counting) -> Counting:
    return {"answers": [interrupt({"question": question}) for question in ("one?", "two?")]}


async def fail(state: Counting) -> Counting:
    raise ValueError("the sea is not blue")


def _chain(state: Any, **nodes: Any) -> StateGraph[Any]:
    graph = StateGraph(state)
    before = START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    return graph


_chat = _chain(MessagesState, model=model)
_chat.add_node("tools", ToolNode([look]))
_chat.add_conditional_edges("model", calls, ["tools", END])
_chat.add_edge("tools", "model")
chat = _chat.compile()

_scout = _chain(MessagesState, model=model).compile()
nested = _chain(MessagesState, research=_chain(MessagesState, scout=_scout).compile(), model=model).compile()
counts = _chain(Counting, count=count).compile()
ask = _chain(Counting, count=count, ask=ask_twice).compile()
ask_inside = _chain(Counting, inner=_chain(Counting, ask=ask_twice).compile()).compile()
fails = _chain(Counting, count=count, fail=fail).compile()
