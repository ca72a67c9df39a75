"""Graphs with something to keep private, and with several questions at once."""

import operator
from typing import Annotated

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12


class Asked(TypedDict):
    """What callers give."""

    question: str


class Answered(TypedDict, total=False):
    """What callers are told."""

    answer: str


class Private(TypedDict, total=False):
    """What nobody is told."""

    secret: str


class Whole(Asked, Answered, Private):
    """What the graph knows."""


class Log(TypedDict, total=False):
    """Of the graphs that ask."""

    log: Annotated[list[str], operator.add]
    note: str


async def look_up(state: Asked) -> Private:
    return {"secret": "password 123"}


async def say(state: Private) -> Answered:
    return {"answer": "done"}


async def confirm(state: Private) -> Answered:
    return {"answer": f"done, {interrupt('sure?')}"}


async def fail(state: Private) -> Answered:
    raise ValueError("it does not answer")


def _private(last: object) -> StateGraph:
    graph = StateGraph(Whole, input_schema=Asked, output_schema=Answered)
    graph.add_node("look_up", look_up)
    graph.add_node("say", last)
    graph.add_edge(START, "look_up")
    graph.add_edge("look_up", "say")
    graph.add_edge("say", END)
    return graph


private = _private(say).compile()
private_asks = _private(confirm).compile()
private_fails = _private(fail).compile()

_around = StateGraph(Whole, input_schema=Asked, output_schema=Answered)
_around.add_node("inner", _private(say).compile())
_around.add_edge(START, "inner")
_around.add_edge("inner", END)
private_nested = _around.compile()


async def ask_a(state: Log) -> Log:
    return {"log": [f"a: {interrupt('A?')}"]}


async def ask_b(state: Log) -> Log:
    return {"log": [f"b: {interrupt('B?')}"]}


async def ask_c(state: Log) -> Log:
    return {"log": [f"c: {interrupt({'question': 'C?', 'of': state.get('note')})}"]}


asks_three = StateGraph(Log)
for _name, _node in (("a", ask_a), ("b", ask_b), ("c", ask_c)):
    asks_three.add_node(_name, _node)
    asks_three.add_edge(START, _name)
asks_three = asks_three.compile()
