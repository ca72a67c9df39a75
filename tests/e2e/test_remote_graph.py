"""LangGraph's `RemoteGraph`: a graph that runs here, used elsewhere as if it were at hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_client, get_sync_client
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12

from tests.support.dev import Dev

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

Config = Any
Remote = Callable[[str], RemoteGraph]
DONE = ["first", "second plain"]


class State(TypedDict, total=False):
    """Of the graph that has a remote one for a node."""

    topic: str
    done: list[str]


@pytest.fixture
async def remote(compat_dev: Dev) -> AsyncIterator[Remote]:
    """Graphs by their names. Clients that a RemoteGraph makes for itself would stay open."""
    async with get_client(url=compat_dev.url, api_key=None) as client:
        with get_sync_client(url=compat_dev.url, api_key=None) as sync_client:
            yield lambda name: RemoteGraph(name, client=client, sync_client=sync_client)


@pytest.fixture
async def config(compat_dev: Dev) -> Config:
    """Of a thread."""
    async with get_client(url=compat_dev.url, api_key=None) as client:
        return {"configurable": {"thread_id": (await client.threads.create())["thread_id"]}}


async def blocking(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(work)


async def test_it_is_invoked(remote: Remote) -> None:
    plain = remote("plain")
    assert await plain.ainvoke({"topic": "x"}) == {"topic": "x", "done": DONE}
    assert await blocking(lambda: plain.invoke({"topic": "x"})) == {"topic": "x", "done": DONE}
    told = await plain.ainvoke({}, context={"tone": "warm"})
    assert told["done"] == ["first", "second warm"]
    with pytest.raises(RemoteException, match="this node is broken"):
        await remote("fails").ainvoke({})


async def test_it_streams_in_several_modes_with_its_subgraphs(remote: Remote) -> None:
    nested = remote("nested")
    told = [each async for each in nested.astream({}, stream_mode=["updates", "custom"], subgraphs=True)]
    assert {(len(namespace), mode) for namespace, mode, _ in told} == {
        *((0, "updates"), (0, "custom")),
        *((1, "updates"), (1, "custom")),
    }
    assert told[-1][2] == {"inner": {"done": ["first", "first", "second plain"]}}
    values = await blocking(lambda: list(nested.stream({"topic": "x"}, stream_mode="values")))
    assert [each["done"] for each in values][-1] == ["first", "first", "first", "second plain"]
    hello = {"messages": [{"role": "user", "content": "count"}]}
    said = [each async for each in remote("talk").astream(hello, stream_mode="messages")]
    assert "".join(message["content"] for message, _ in said) == "one two three"


async def test_its_state_is_read_edited_and_listed(remote: Remote, config: Config) -> None:
    plain = remote("plain")
    await plain.ainvoke({"topic": "x"}, config)
    state = await plain.aget_state(config)
    assert (state.values, state.next) == ({"topic": "x", "done": DONE}, ())
    states = [each async for each in plain.aget_state_history(config)]
    assert [each.next for each in states] == [(), ("second",), ("first",), ("__start__",)]
    edited = await plain.aupdate_state(states[1].config, {"topic": "y"})
    forked = await plain.ainvoke(None, edited)
    assert forked == {"topic": "y", "done": DONE}
    assert await blocking(lambda: plain.get_state(config).values) == forked
    assert await blocking(lambda: plain.get_state(states[1].config).next) == ("second",)
    assert len(await blocking(lambda: list(plain.get_state_history(config, limit=2)))) == 2
    await blocking(lambda: plain.update_state(config, {"topic": "z"}, as_node="second"))
    assert await blocking(lambda: plain.get_state(config).values["topic"]) == "z"


async def test_it_is_drawn(remote: Remote) -> None:
    nested = remote("nested")
    drawn = await nested.aget_graph()
    assert set(drawn.nodes) == {"__start__", "before", "inner", "__end__"}
    inside = await blocking(lambda: nested.get_graph(xray=True))
    assert {"inner:first", "inner:second"} <= set(inside.nodes)


async def test_its_question_is_answered_with_a_command(remote: Remote, config: Config) -> None:
    ask = remote("ask")
    asked = await ask.ainvoke({}, config)
    assert asked["__interrupt__"][0]["value"] == {"question": "ok?"}
    state = await ask.aget_state(config)
    assert (state.next, state.interrupts[0].value) == (("approve",), {"question": "ok?"})
    answered = await blocking(lambda: ask.invoke(Command(resume="yes"), config))
    assert answered["done"] == ["first", "approved yes", "second plain"]


async def test_it_stops_where_it_is_told_to(remote: Remote, config: Config) -> None:
    plain = remote("plain")
    assert (await plain.ainvoke({}, config, interrupt_before=["second"]))["done"] == ["first"]
    assert (await plain.aget_state(config)).next == ("second",)
    assert (await plain.ainvoke(None, config))["done"] == DONE


async def test_it_is_a_node_of_another_graph(remote: Remote, config: Config) -> None:
    """With its question, which the other graph's caller sees; the answer has to be given to the remote graph itself."""
    builder = StateGraph(State)
    builder.add_node("before", lambda _: {"topic": "of before"})
    builder.add_node("asking", remote("ask"))
    builder.add_edge(START, "before")
    builder.add_edge("before", "asking")
    builder.add_edge("asking", END)
    outer = builder.compile(InMemorySaver())
    told = [each async for each in outer.astream({}, config, stream_mode="updates", subgraphs=True)]
    assert told[0] == ((), {"before": {"topic": "of before"}})
    assert [update["first"]["done"] for namespace, update in told if "first" in update] == [["first"]]
    assert (await outer.aget_state(config)).interrupts[0].value == {"question": "ok?"}
    await remote("ask").ainvoke(Command(resume="yes"), config)
    assert (await outer.ainvoke(None, config))["done"] == ["first", "approved yes", "second plain"]
