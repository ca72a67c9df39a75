"""Raises a kind of exception at a place: in a step, beside it, behind it.

first ─ act | sync | inside | retried ─ last
"""

from __future__ import annotations

import asyncio
import operator
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

from kinds import throw
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, interrupt


class Bad:
    """Raises whatever is asked of it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def model_dump(self, *_given: Any, **_named: Any) -> Any:
        throw(self.kind)

    __reduce__ = __repr__ = __str__ = _asdict = tolist = model_dump


class BadDict(dict[str, Any]):
    """The same for what wants a dictionary."""

    def items(self) -> Any:
        throw(self["kind"])

    keys = values = __iter__ = __hash__ = copy = items  # type: ignore[assignment]


def join(_before: Any, new: Any) -> Any:
    if new:
        throw(new)
    return new


class State(TypedDict, total=False):
    place: str
    kind: str
    done: Annotated[list[str], operator.add]
    joined: Annotated[Any, join]
    value: Any


async def raise_soon(kind: str) -> None:
    await asyncio.sleep(0)
    throw(kind)


async def node(kind: str) -> None:
    throw(kind)


async def task(kind: str) -> None:
    await asyncio.create_task(raise_soon(kind))


async def gathered(kind: str) -> None:
    await asyncio.gather(raise_soon(kind), asyncio.sleep(60))


async def group(kind: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.sleep(0.1))
        tasks.create_task(raise_soon(kind))


async def thread(kind: str) -> None:
    await asyncio.to_thread(throw, kind)


async def pool(kind: str) -> None:
    with ThreadPoolExecutor() as own:
        await asyncio.get_running_loop().run_in_executor(own, throw, kind)


async def tool_call(kind: str) -> None:
    @tool
    async def broken(kind: str) -> str:
        """Break."""
        throw(kind)
        return "never"

    await broken.ainvoke({"kind": kind})


async def callback(kind: str) -> None:
    class Handler(AsyncCallbackHandler):
        async def on_chain_start(self, *_given: Any, **_named: Any) -> None:
            throw(kind)

    await RunnableLambda(lambda given: given).ainvoke(1, {"callbacks": [Handler()]})


async def sync_callback(kind: str) -> None:
    class Handler(BaseCallbackHandler):
        run_inline = True
        raise_error = True

        def on_chain_start(self, *_given: Any, **_named: Any) -> None:
            throw(kind)

    await RunnableLambda(lambda given: given).ainvoke(1, {"callbacks": [Handler()]})


async def store(kind: str) -> None:
    await get_store().aput(("guests",), "bad", BadDict(kind=kind))


async def stored(kind: str) -> None:
    await get_store().aput(("guests",), "bad", {"value": Bad(kind)})


async def writer(kind: str) -> None:
    get_stream_writer()(Bad(kind))


async def question(kind: str) -> None:
    interrupt(Bad(kind))


async def late_task(kind: str) -> None:
    kept = asyncio.create_task(raise_soon(kind))
    await asyncio.wait([kept])


async def late_thread(kind: str) -> None:
    other = threading.Thread(target=throw, args=(kind,))
    other.start()
    await asyncio.to_thread(other.join)


async def late_call(kind: str) -> None:
    asyncio.get_running_loop().call_soon(throw, kind)
    await asyncio.sleep(0.01)


async def done_callback(kind: str) -> None:
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda _: throw(kind))
    future.set_result(None)
    await asyncio.sleep(0.01)


async def finalizer(kind: str) -> None:
    class Dying:
        def __del__(self) -> None:
            throw(kind)

    dying = Dying()
    weakref.finalize(dying, throw, kind)
    del dying


async def left_generator(kind: str) -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await raise_soon(kind)

    async for _ in numbers():
        break
    await asyncio.sleep(0.01)


#: The run dies of these.
IN_TIME: dict[str, Callable[[str], Awaitable[None]]] = {
    "node": node, "task": task, "gathered": gathered, "group": group, "thread": thread, "pool": pool,
    "tool": tool_call, "callback": callback, "sync callback": sync_callback, "store": store, "stored": stored,
    "writer": writer, "question": question,
}  # fmt: skip
#: Nothing waits for these: the run does not know of them.
LATE: dict[str, Callable[[str], Awaitable[None]]] = {
    "late task": late_task, "late thread": late_thread, "late call": late_call, "done callback": done_callback,
    "finalizer": finalizer, "left generator": left_generator,
}  # fmt: skip


async def first(state: State) -> dict[str, Any]:
    return {"done": ["first"], "joined": ""}  # from the second on values are joined


async def act(state: State) -> dict[str, Any]:
    place, kind = state["place"], state["kind"]
    if place == "reducer":
        return {"joined": kind}
    if place == "state":
        return {"value": Bad(kind)}
    await {**IN_TIME, **LATE}[place](kind)
    return {"done": ["act"]}


def act_in_thread(state: State) -> dict[str, Any]:
    throw(state["kind"])
    return {}


def retry_on(error: Exception) -> bool:
    throw(str(error))
    return False


async def retried(state: State) -> dict[str, Any]:
    raise ValueError(state["kind"])


async def last(state: State) -> dict[str, Any]:
    return {"done": ["last"]}


def where(state: State) -> str:
    if state["place"] == "router":
        throw(state["kind"])
    return state["place"] if state["place"] in ("sync", "inside", "retried") else "act"


inner = StateGraph(State).add_node("deepest", act_in_thread).add_edge(START, "deepest").compile()
builder = StateGraph(State)
builder.add_node("first", first)
builder.add_node("act", act)
builder.add_node("sync", act_in_thread)
builder.add_node("inside", inner)
builder.add_node("retried", retried, retry_policy=RetryPolicy(retry_on=retry_on))
builder.add_node("last", last)
builder.add_edge(START, "first")
builder.add_conditional_edges("first", where, ["act", "sync", "inside", "retried"])
for name in ("act", "sync", "inside", "retried"):
    builder.add_edge(name, "last")
builder.add_edge("last", END)
graph = builder.compile()


def made(config: RunnableConfig) -> Any:
    """A graph for each run, or none."""
    kind = (config.get("configurable") or {}).get("kind")
    if kind:
        throw(kind)
    return graph
