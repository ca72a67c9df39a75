"""Every method of LangGraph's Python SDK, asynchronous and synchronous, called once on a real server.

The scenarios are the same for both; that they leave none out is checked by reflection.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import NotFoundError

from tests.support.dev import Dev
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

NEVER = "0 0 1 1 *"
Client = LangGraphClient | SyncLangGraphClient


class Sdk:
    """Calls a client's methods by name, whether they block, wait or iterate, and knows which were called."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.called: set[str] = set()

    async def __call__(self, name: str, /, *args: Any, **options: Any) -> Any:
        """What a method answers; of a stream, all of its parts."""
        return await self._made(name, lambda _: False, args, options)

    async def until(self, is_last: Callable[[Any], bool], name: str, /, *args: Any, **options: Any) -> list[Any]:
        """The parts of an endless stream up to the last that is wanted."""
        parts: list[Any] = await self._made(name, is_last, args, options)
        return parts

    async def _made(self, name: str, is_last: Callable[[Any], bool], args: Any, options: Any) -> Any:
        self.called.add(name)
        part, _, method = name.partition(".")
        call = getattr(getattr(self.client, part), method)
        if isinstance(self.client, SyncLangGraphClient):
            return await asyncio.to_thread(lambda: _read(call(*args, **options), is_last))
        answer = call(*args, **options)
        if inspect.isawaitable(answer):
            answer = await answer
        if not isinstance(answer, AsyncIterator):
            return answer
        found = []
        async for part in answer:
            found.append(part)
            if is_last(part):
                break
        return found


def _read(answer: Any, is_last: Callable[[Any], bool]) -> Any:
    if not isinstance(answer, Iterator):
        return answer
    found = []
    for part in answer:
        found.append(part)
        if is_last(part):
            break
    return found


@pytest.fixture(params=["asynchronous", "synchronous"])
async def sdk(compat_dev: Dev, request: pytest.FixtureRequest) -> AsyncIterator[Sdk]:
    if request.param == "synchronous":
        with get_sync_client(url=compat_dev.url, api_key=None) as client:
            yield Sdk(client)
    else:
        async with get_client(url=compat_dev.url, api_key=None) as client:
            yield Sdk(client)


async def assistants(sdk: Sdk) -> None:
    mark = str(uuid4())
    made = await sdk("assistants.create", "plain", context={"tone": "warm"}, metadata={"mark": mark}, name="mine")
    at = made["assistant_id"]
    assert (await sdk("assistants.get", at))["context"] == {"tone": "warm"}
    changed = await sdk("assistants.update", at, context={"tone": "cold"}, metadata={"size": 2})
    assert (changed["version"], changed["metadata"]) == (2, {"mark": mark, "size": 2})
    assert [each["version"] for each in await sdk("assistants.get_versions", at)] == [2, 1]
    assert (await sdk("assistants.set_latest", at, 1))["context"] == {"tone": "warm"}
    assert [each["assistant_id"] for each in await sdk("assistants.search", metadata={"mark": mark})] == [at]
    page = await sdk("assistants.search", graph_id="plain", limit=1, response_format="object")
    assert len(page["assistants"]) == 1
    assert page["next"] == "1"
    assert await sdk("assistants.count", metadata={"mark": mark}) == 1
    drawn = await sdk("assistants.get_graph", at)
    assert [node["id"] for node in drawn["nodes"]] == ["__start__", "first", "second", "__end__"]
    assert set((await sdk("assistants.get_schemas", at))["state_schema"]["properties"]) == {"topic", "done"}
    assert set(await sdk("assistants.get_subgraphs", "nested")) == {"inner"}
    run = await sdk("runs.wait", None, at, input={})
    assert run["done"] == ["first", "second warm"]
    await sdk("assistants.delete", at)
    with pytest.raises(NotFoundError):
        await sdk("assistants.get", at)


async def threads(sdk: Sdk) -> None:
    mark = str(uuid4())
    made = await sdk("threads.create", metadata={"mark": mark}, ttl=60)
    at = made["thread_id"]
    assert (await sdk("threads.update", at, metadata={"size": 2}))["metadata"] == {"mark": mark, "size": 2}
    assert (await sdk("threads.get", at, include=["ttl"]))["ttl"]["ttl_minutes"] == 60
    await sdk("runs.wait", at, "plain", input={"topic": "x"})
    assert [each["thread_id"] for each in await sdk("threads.search", metadata={"mark": mark})] == [at]
    assert await sdk("threads.count", metadata={"mark": mark}) == 1
    state = await sdk("threads.get_state", at)
    assert (state["values"]["done"], state["next"]) == (["first", "second plain"], [])
    history = await sdk("threads.get_history", at)
    assert [each["next"] for each in history] == [[], ["second"], ["first"], ["__start__"]]
    assert (await sdk("threads.get_state", at, checkpoint=history[1]["checkpoint"]))["next"] == ["second"]
    edited = await sdk("threads.update_state", at, {"topic": "y"}, as_node="first")
    assert edited["checkpoint"]["thread_id"] == at
    assert (await sdk("threads.get_state", at))["values"]["topic"] == "y"
    parts = await sdk.until(_is_run_done, "threads.join_stream", at, last_event_id="-")
    assert parts[0].event == "metadata"
    assert parts[-2].data["done"] == ["first", "second plain"]
    copied = await sdk("threads.copy", at)
    assert (await sdk("threads.get_state", copied["thread_id"]))["values"]["topic"] == "y"
    assert (await sdk("threads.prune", [copied["thread_id"]]))["pruned_count"] == 1
    await sdk("threads.delete", at)
    with pytest.raises(NotFoundError):
        await sdk("threads.get", at)


async def runs(sdk: Sdk) -> None:
    at = (await sdk("threads.create"))["thread_id"]
    parts = await sdk("runs.stream", at, "plain", input={}, stream_mode="updates")
    assert [part.event for part in parts] == ["metadata", "updates", "updates"]
    parts = await sdk("runs.stream", None, "plain", input={}, stream_mode="values", version="v2")
    assert parts[-1]["data"]["done"] == ["first", "second plain"]
    assert (await sdk("runs.wait", at, "ask", input={}))["__interrupt__"][0]["value"] == {"question": "ok?"}
    await sdk("runs.wait", at, "ask", command={"resume": "no"})
    made = await sdk("runs.create", at, "plain", input={}, metadata={"of": "a test"}, stream_mode="updates")
    run = made["run_id"]
    assert (await sdk("runs.join", at, run))["done"][-2:] == ["first", "second plain"]
    assert (await sdk("runs.get", at, run))["metadata"]["of"] == "a test"
    listed = await sdk("runs.list", at, status="success", select=["run_id"])
    assert listed[0] == {"run_id": run}
    again = await sdk("runs.join_stream", at, run, stream_mode="updates", last_event_id="-")
    assert [part.event for part in again] == ["updates", "updates"]
    await sdk("runs.delete", at, run)
    with pytest.raises(NotFoundError):
        await sdk("runs.get", at, run)
    batch = await sdk("runs.create_batch", [{"assistant_id": "plain", "input": {"topic": topic}} for topic in "xy"])
    values = [await sdk("runs.join", each["thread_id"], each["run_id"]) for each in batch]
    assert [each["topic"] for each in values] == ["x", "y"]
    one, two = [await sdk("runs.create", at, "slow", input={}) for _ in range(2)]
    await sdk("runs.cancel", at, one["run_id"], wait=True)
    await sdk("runs.cancel_many", thread_id=at, run_ids=[two["run_id"]])
    await sdk("runs.join", at, two["run_id"])
    assert [each["status"] for each in await sdk("runs.list", at, limit=2)] == ["interrupted"] * 2


async def crons(sdk: Sdk) -> None:
    mark = str(uuid4())
    at = (await sdk("threads.create"))["thread_id"]
    of_thread = await sdk("crons.create_for_thread", at, "plain", schedule=NEVER, metadata={"mark": mark})
    loose = await sdk("crons.create", "plain", schedule=NEVER, input={"topic": "x"}, metadata={"mark": mark})
    assert (of_thread["thread_id"], loose["thread_id"]) == (at, None)
    changed = await sdk("crons.update", loose["cron_id"], schedule="0 0 2 2 *", enabled=False)
    assert (changed["schedule"], changed["enabled"]) == ("0 0 2 2 *", False)
    found = await sdk("crons.search", metadata={"mark": mark}, enabled=True)
    assert [each["cron_id"] for each in found] == [of_thread["cron_id"]]
    assert await sdk("crons.count", metadata={"mark": mark}) == 2
    for each in (of_thread, loose):
        await sdk("crons.delete", each["cron_id"])
    assert await sdk("crons.count", metadata={"mark": mark}) == 0


async def store(sdk: Sdk) -> None:
    space = [str(uuid4()), "facts"]
    await sdk("store.put_item", space, key="sea", value={"colour": "blue"})
    assert (await sdk("store.get_item", space, key="sea"))["value"] == {"colour": "blue"}
    found = await sdk("store.search_items", space[:1], filter={"colour": "blue"})
    assert [each["key"] for each in found["items"]] == ["sea"]
    assert (await sdk("store.list_namespaces", prefix=space[:1]))["namespaces"] == [space]
    await sdk("store.delete_item", space, key="sea")
    assert (await sdk("store.search_items", space[:1]))["items"] == []


def _is_run_done(part: Any) -> bool:
    return part.event == "metadata" and part.data.get("status") == "run_done"


@pytest.mark.parametrize("scenario", [assistants, threads, runs, crons, store])
async def test_each_method(sdk: Sdk, scenario: Callable[[Sdk], Awaitable[None]]) -> None:
    await scenario(sdk)
    part = scenario.__name__
    methods = {f"{part}.{name}" for name in _public(type(getattr(sdk.client, part)))}
    assert methods - sdk.called == ({"threads.stream"} if part == "threads" else set())


async def test_the_client_has_no_other_parts(sdk: Sdk) -> None:
    parts = {name for name in _public(sdk.client) if not inspect.ismethod(getattr(sdk.client, name))}
    assert parts == {"assistants", "threads", "runs", "crons", "store", "http"}


class Used:
    """A thread's stream that remembers what of it was used."""

    def __init__(self, stream: Any, names: set[str]) -> None:
        self._stream = stream
        self._names = names

    def __getattr__(self, name: str) -> Any:
        self._names.add(name)
        return getattr(self._stream, name)


async def test_each_part_of_a_threads_stream(compat_dev: Dev) -> None:
    used: set[str] = set()

    @asynccontextmanager
    async def started(graph: str) -> AsyncIterator[Any]:
        async with client.threads.stream(assistant_id=graph) as stream, asyncio.timeout(20):
            thread = Used(stream, used)
            assert thread.assistant_id == graph
            await thread.run.start(input=INPUTS.get(graph, {}))
            yield thread
            await thread.close()

    async with get_client(url=compat_dev.url, api_key=None) as client:
        async with started("talk") as thread:
            messages = [message async for message in thread.messages]
            assert [await message.text for message in messages] == ["one two three"]
        async with started("talk") as thread:
            *_, last = [values async for values in thread.values]
            assert len(last["messages"]) == 2
            assert await thread.output == last
        async with started("talk") as thread:
            assert [call async for call in thread.tool_calls] == []
        async with started("nested") as thread:
            found = [name async for name, _ in thread.interleave_projections(["values", "subgraphs"])]
            assert (set(found), found.count("subgraphs"), found[-1]) == ({"values", "subgraphs"}, 1, "values")
        async with started("nested") as thread:
            assert [graph.graph_name async for graph in thread.subgraphs] == ["inner"]
        async with started("nested") as thread:
            assert [graph.graph_name async for graph in thread.subagents] == ["inner"]
        async with started("nested") as thread:
            events = [event["params"]["data"]["event"] async for event in thread.subscribe(["lifecycle"])]
            assert events == ["running", "started", "completed", "completed"]
        async with started("nested") as thread:
            thread.observe_applied_through_seq(0)
            assert (await anext(aiter(thread.events)))["seq"] > 0
            assert (await thread.agent.get_tree())["nodes"][0]["id"] == "__start__"
        async with started("speech") as thread:
            assert [one["number"] async for one in thread.extensions["said"]] == [0, 1, 2]
        async with started("ask") as thread:
            await until(lambda: thread.interrupted)
            assert thread.interrupts[0]["value"] == {"question": "ok?"}
            await thread.run.respond("yes")
            assert (await thread.output)["done"] == ["first", "approved yes", "second plain"]
            assert (await client.threads.get(thread.thread_id))["status"] == "idle"
        assert _public(client.threads.stream(assistant_id="ask")) - used == set()


async def test_each_part_of_a_threads_stream_that_blocks(compat_dev: Dev) -> None:
    await asyncio.to_thread(_use_stream_that_blocks, compat_dev.url)


def _use_stream_that_blocks(url: str) -> None:
    used: set[str] = set()

    @contextmanager
    def started(graph: str) -> Iterator[Any]:
        with client.threads.stream(assistant_id=graph) as stream:
            thread = Used(stream, used)
            assert thread.assistant_id == graph
            thread.run.start(input=INPUTS.get(graph, {}))
            yield thread
            thread.close()

    with get_sync_client(url=url, api_key=None) as client:
        with started("talk") as thread:
            assert [str(message.text) for message in thread.messages] == ["one two three"]
        with started("talk") as thread:
            *_, last = list(thread.values)
            assert len(last["messages"]) == 2
            assert thread.output == last
        with started("talk") as thread:
            assert list(thread.tool_calls) == []
        with started("nested") as thread:
            found = [name for name, _ in thread.interleave_projections(["values", "subgraphs"])]
            assert (set(found), found.count("subgraphs"), found[-1]) == ({"values", "subgraphs"}, 1, "values")
        with started("nested") as thread:
            assert [graph.graph_name for graph in thread.subgraphs] == ["inner"]
        with started("nested") as thread:
            assert [graph.graph_name for graph in thread.subagents] == ["inner"]
        with started("nested") as thread:
            events = [event["params"]["data"]["event"] for event in thread.subscribe(["lifecycle"])]
            assert events == ["running", "started", "completed", "completed"]
        with started("nested") as thread:
            assert next(iter(thread.events))["seq"] > 0
            assert thread.agent.get_tree()["nodes"][0]["id"] == "__start__"
        with started("speech") as thread:
            assert [one["number"] for one in thread.extensions["said"]] == [0, 1, 2]
        with started("ask") as thread:
            asyncio.run(until(lambda: thread.interrupted))
            assert thread.interrupts[0]["value"] == {"question": "ok?"}
            thread.run.respond("yes")
            assert thread.output["done"] == ["first", "approved yes", "second plain"]
            assert client.threads.get(thread.thread_id)["status"] == "idle"
        assert _public(client.threads.stream(assistant_id="ask")) - used == set()


INPUTS: dict[str, Any] = {"talk": {"messages": [{"role": "user", "content": "count"}]}, "speech": {"topic": "3"}}


def _public(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}
