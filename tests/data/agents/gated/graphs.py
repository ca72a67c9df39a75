"""Graphs that a test holds in the middle, each step with a side effect that is noted.

steps  first ─ held ─ last
ask    first ─ ask ─ held ─ last
chat   first ─ reply, which says two words before its gate and two behind it
made   steps, by a factory that can be held
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any

from gates import gate, hold, note
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    call: str
    done: Annotated[list[str], operator.add]


class Speaker(BaseChatModel):
    """Says four words, the first two before the gate of the call that the last message names."""

    @property
    def _llm_type(self) -> str:
        return "speaker"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        words = [str(chunk.message.content) async for chunk in self._astream(messages)]
        return ChatResult(generations=[ChatGeneration(message=AIMessage("".join(words)))])

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for word in ("one ", "two "):
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        call = str(messages[-1].content)
        note(call, "held")
        await gate(call)
        for word in ("three ", "four "):
            yield ChatGenerationChunk(message=AIMessageChunk(word))


def step(name: str) -> Any:
    async def run(state: State) -> State:
        note(state["call"], name)
        return {"done": [name]}

    return run


async def held(state: State) -> State:
    note(state["call"], "held")
    await gate(state["call"])
    return {"done": ["held"]}


async def question(state: State) -> State:
    return {"done": [interrupt("go on?")]}


async def heard(state: MessagesState) -> dict[str, Any]:
    note(str(state["messages"][-1].content), "first")
    return {}


async def reply(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await Speaker().ainvoke(state["messages"])]}


def _row(state: Any, **nodes: Any) -> StateGraph[Any]:
    graph = StateGraph(state)
    before = START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    return graph


steps = _row(State, first=step("first"), held=held, last=step("last")).compile()
ask = _row(State, first=step("first"), ask=question, held=held, last=step("last")).compile()
chat = _row(MessagesState, first=heard, reply=reply).compile()


async def make(config: RunnableConfig) -> Any:
    await hold()
    return steps
