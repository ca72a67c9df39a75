"""Graphs that do the same on every server: no clock, no chance, no network."""

import asyncio
import operator
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12


class State(TypedDict, total=False):
    """What the graphs without messages have."""

    topic: str
    done: Annotated[list[str], operator.add]


class Context(TypedDict, total=False):
    """What callers may say beside the input."""

    tone: str


class Speaker(BaseChatModel):
    """Says three words, one by one."""

    @property
    def _llm_type(self) -> str:
        return "speaker"

    def _words(self) -> Iterator[ChatGenerationChunk]:
        for word in ("one ", "two ", "three"):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="one two three"))])

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._words():
            yield chunk


async def first(state: State) -> State:
    get_stream_writer()({"at": "first"})
    return {"done": ["first"]}


async def second(state: State, runtime: Runtime[Context], config: RunnableConfig) -> State:
    tone = (runtime.context or {}).get("tone") or config["configurable"].get("tone") or "plain"
    return {"done": [f"second {tone}"]}


async def model(state: MessagesState) -> MessagesState:
    return {"messages": [await Speaker().ainvoke(state["messages"])]}


async def approve(state: State) -> State:
    return {"done": [f"approved {interrupt({'question': 'ok?'})}"]}


async def broken(state: State) -> State:
    raise ValueError("this node is broken")


async def speak(state: State) -> State:
    write = get_stream_writer()
    for number in range(int(state.get("topic", 120))):
        write({"name": "said", "number": number, "text": "ß" * (number * 37 % 300)})
        if number % 4 == 3:
            await asyncio.sleep(0.35)
    return {"done": ["spoke"]}


async def wait(state: State) -> State:
    await asyncio.sleep(60)
    return {"done": ["waited"]}


async def linger(state: State) -> State:
    if state.get("topic") == "long":
        await asyncio.sleep(60)
    return {"done": ["lingered"]}


def _chain(*nodes: Any, state: Any = State) -> StateGraph:
    graph = StateGraph(state, context_schema=Context)
    for node in nodes:
        graph.add_node(node.__name__, node)
    for before, after in zip((None, *nodes), (*nodes, None), strict=True):
        graph.add_edge(before.__name__ if before else START, after.__name__ if after else END)
    return graph


plain = _chain(first, second).compile()
talk = _chain(model, state=MessagesState).compile()
ask = _chain(first, approve, second).compile()
fails = _chain(first, broken).compile()
slow = _chain(first, wait).compile()
lingers = _chain(first, linger).compile()
speech = _chain(speak).compile()


def _around(*inner: Any) -> StateGraph:
    graph = StateGraph(State)
    graph.add_node("before", first)
    graph.add_node("inner", _chain(*inner).compile())
    graph.add_edge(START, "before")
    graph.add_edge("before", "inner")
    graph.add_edge("inner", END)
    return graph


nested = _around(first, second).compile()
nested_asks = _around(first, approve).compile()
