"""The event protocol with the Python SDK's thread streams, against a real `relayrun dev` whose parts are killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk._async.stream import AsyncThreadStream
from langgraph_sdk.client import LangGraphClient

from tests.e2e.test_dev_crashes import kill_at_once
from tests.support.dev import Dev, relayrun_dev
from tests.support.reading import client_of
from tests.support.runner import AGENTS
from tests.support.sockets import ends_a_run
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

transports = pytest.mark.parametrize("transport", ["sse", "websocket"])
Client = LangGraphClient
Told = dict[str, Any]

SLOWLY = "slowly " + " ".join(str(number) for number in range(30))
ALL = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]


@pytest.fixture(scope="module")
async def protocol_dev() -> AsyncIterator[Dev]:
    async with relayrun_dev(config=AGENTS / "protocol" / "langgraph.json") as dev:
        yield dev


@pytest.fixture
async def client(protocol_dev: Dev) -> AsyncIterator[Client]:
    async with get_client(url=protocol_dev.url, api_key=None) as client:
        yield client


def user(text: str, gate: Path | None = None) -> dict[str, Any]:
    """What a person says; it is answered once `gate` is there."""
    more = {"additional_kwargs": {"gate": str(gate)}} if gate else {}
    return {"messages": [{"role": "user", "content": text, **more}]}


async def each(source: Any, use: Callable[[Any], Awaitable[Any]]) -> list[Any]:
    """What became of everything that comes, all of it used at once, as it fills while its source is read."""
    tasks = [asyncio.create_task(_used(use, one)) async for one in source]
    return list(await asyncio.gather(*tasks))


async def _used(use: Callable[[Any], Awaitable[Any]], one: Any) -> Any:
    return await use(one)


async def text_of(message: Any) -> str:
    return "".join([piece async for piece in message.text])


async def until_asked(thread: AsyncThreadStream, count: int = 1) -> None:
    await until(lambda: thread.interrupted and len(thread.interrupts) == count)


@asynccontextmanager
async def reading_everything(thread: AsyncThreadStream) -> AsyncIterator[None]:
    """With one connection for all projections: the SDK may wait for ever when several widen it at the same time."""
    events = aiter(thread.subscribe(ALL))
    await anext(events)
    async with aclosing(events):  # type: ignore[type-var]
        yield


@transports
async def test_a_conversation_with_a_tool(client: Client, transport: Any, tmp_path: Path) -> None:
    async with client.threads.stream(assistant_id="chat", transport=transport) as thread:

        async def called(call: Any) -> tuple[str, Any, str]:
            return call.name, call.input, (await call.output)["content"]

        async def snapshots() -> list[int]:
            # The first is the state as it was when somebody looked: before or after the first checkpoint.
            return [len(values.get("messages", ())) async for values in thread.values]

        async def answered() -> None:
            gate.touch()

        gate = tmp_path / "gate"
        assert (await thread.run.start(input=user("look", gate)))["run_id"]
        async with reading_everything(thread):
            # What is told before a projection begins is lost to it: they begin in this order, and then the answer does.
            texts, calls, lengths, _ = await asyncio.gather(
                each(thread.messages, text_of), each(thread.tool_calls, called), snapshots(), answered()
            )
        assert texts == ["", "the sea is blue "]
        assert calls == [("look", {"at": "the sea"}, "the sea is blue")]
        assert lengths[-1] == 4
        output = await thread.output.with_timeout(60)
        assert [message["type"] for message in output["messages"]] == ["human", "ai", "tool", "ai"]
        assert await thread.values == output
        tree = await thread.agent.get_tree()
        assert {node["id"] for node in tree["nodes"]} >= {"model", "tools"}


@transports
async def test_questions_one_after_the_other(client: Client, transport: Any) -> None:
    async with client.threads.stream(assistant_id="ask", transport=transport) as thread:
        await thread.run.start(input={"count": 1})
        await until_asked(thread)
        first = thread.interrupts[0]
        assert (first["value"], first["namespace"]) == ({"question": "one?"}, [])
        await thread.run.respond("yes")
        await until_asked(thread, 2)
        await thread.run.respond("no", interrupt_id=thread.interrupts[1]["interrupt_id"])
        assert await thread.output == {"count": 2, "answers": ["yes", "no"]}
        assert (thread.interrupted, thread.interrupts) == (False, [])


@transports
async def test_a_question_of_a_subgraph(client: Client, transport: Any) -> None:
    async with client.threads.stream(assistant_id="ask_inside", transport=transport) as thread:
        await thread.run.start(input={"count": 1})
        await until_asked(thread)
        assert [path.partition(":")[0] for path in thread.interrupts[0]["namespace"]] == ["inner"]
        await thread.run.respond("a")
        await until_asked(thread, 2)
        await thread.run.respond("b", interrupt_id=thread.interrupts[1]["interrupt_id"])
        assert (await thread.output)["answers"] == ["a", "b"]


@transports
async def test_what_nodes_write(client: Client, transport: Any) -> None:
    async with client.threads.stream(assistant_id="counts", transport=transport) as thread:
        await thread.run.start(input={"count": 1})
        told = [told async for told in thread.extensions["progress"]]
        assert told == [{"name": "progress", "counted": 1}]
        assert await thread.output == {"count": 2}


@transports
async def test_subgraphs_and_what_they_say(client: Client, transport: Any) -> None:
    async with client.threads.stream(assistant_id="nested", transport=transport) as thread:

        async def visited(graph: Any) -> tuple[str, int, list[str], list[Any], str]:
            # In this order: what is below would else be lost among what is said, for the SDK.
            below, said = await each(graph.subgraphs, visited), await each(graph.messages, text_of)
            return graph.graph_name, len(graph.path), said, below, graph.status

        await thread.run.start(input=user("hello sea"))
        found = await each(thread.subagents, visited)
        said = ["hello sea "]
        assert found == [("research", 1, [], [("scout", 2, said, [], "completed")], "completed")]
        assert len((await thread.output)["messages"]) == 3


@transports
async def test_projections_interleaved(client: Client, transport: Any) -> None:
    channels = ["values", "messages", "tool_calls", "subgraphs", "updates", "checkpoints", "tasks", "progress"]
    async with client.threads.stream(assistant_id="chat", transport=transport) as thread:
        await thread.run.start(input=user("look"))
        names = [name async for name, _ in thread.interleave_projections(channels)]
    step = ["tasks", "messages", "updates", "tasks", "checkpoints", "values"]
    assert names == [
        *("checkpoints", "checkpoints", "values"),
        *step,
        *("tasks", "tool_calls", "updates", "tasks", "checkpoints", "values"),
        *step,
    ]


@transports
async def test_a_failure_is_raised(client: Client, transport: Any) -> None:
    async with client.threads.stream(assistant_id="fails", transport=transport) as thread:
        await thread.run.start(input={"count": 1})
        with pytest.raises(RuntimeError, match="the sea is not blue"):
            await thread.output


@transports
async def test_a_cancelled_run_ends(client: Client, transport: Any) -> None:
    async with client.threads.stream(assistant_id="chat", transport=transport) as thread:
        ends: list[Any] = []

        async def lifecycle() -> None:
            async for event in thread.subscribe(["lifecycle"]):
                ends.append(event["params"]["data"]["event"])  # noqa: PERF401 - looked at while it grows

        started = await thread.run.start(input=user(SLOWLY))
        reading = asyncio.create_task(lifecycle())
        await until(lambda: ends == ["running"])
        await client.runs.cancel(thread.thread_id, started["run_id"])
        await until(lambda: ends == ["running", "interrupted"])
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@transports
async def test_raw_events_and_subscriptions(client: Client, transport: Any) -> None:
    async with client.threads.stream(assistant_id="nested", transport=transport) as thread:
        await thread.run.start(input=user("hello"))
        found = []
        async for event in thread.events:
            if "method" in event:  # on a WebSocket the SDK gives the subscription's answer too
                found.append(event)
                if ends_a_run(event):
                    break
        seqs = [event["seq"] for event in found]
        assert seqs == sorted(set(seqs))
        inside = [event async for event in thread.subscribe(["tasks", "lifecycle"], namespaces=[["research"]], depth=0)]
        assert {event["method"] for event in inside} == {"tasks", "lifecycle"}
        assert {len(event["params"]["namespace"]) for event in inside} == {1}
        of_research = [event for event in found if len(event["params"]["namespace"]) == 1]
        assert [event["event_id"] for event in inside] == [
            event["event_id"] for event in of_research if event["method"] in ("tasks", "lifecycle")
        ]


@transports
async def test_another_client_joins_a_run_and_a_later_one_finds_its_end(client: Client, transport: Any) -> None:
    async with client.threads.stream(assistant_id="chat", transport=transport) as thread:
        await thread.run.start(input=user(SLOWLY))
        first = aiter(thread.messages)
        await anext(first)
        async with client.threads.stream(thread.thread_id, assistant_id="chat", transport=transport) as other:
            texts, output = await asyncio.gather(each(other.messages, text_of), other.output)
        assert texts == [f"{SLOWLY} "]
        assert output["messages"][-1]["content"] == texts[0]
    async with client.threads.stream(thread.thread_id, assistant_id="chat", transport=transport) as late:
        assert await late.output == output


@transports
async def test_what_is_refused_is_raised(client: Client, transport: Any) -> None:
    async with client.threads.stream(assistant_id="nobody", transport=transport) as thread:
        with pytest.raises(RuntimeError, match=r"invalid_argument.*nobody"):
            await thread.run.start(input={})


@transports
async def test_the_synchronous_client(protocol_dev: Dev, transport: Any) -> None:
    def talk() -> tuple[list[str], int]:
        with (
            get_sync_client(url=protocol_dev.url, api_key=None) as client,
            client.threads.stream(assistant_id="chat", transport=transport) as thread,
        ):
            thread.run.start(input=user("look"))
            return [str(message.text) for message in thread.messages], len(thread.output["messages"])

    assert await asyncio.to_thread(talk) == (["", "the sea is blue "], 4)


async def commanded(dev: Dev, thread_id: str, method: str, **params: Any) -> dict[str, Any]:
    async with client_of(dev.url) as http:
        answer = await http.post(f"/threads/{thread_id}/commands", json={"id": 1, "method": method, "params": params})
        result: dict[str, Any] = answer.raise_for_status().json()
        return result


async def test_the_state_is_read_and_forked_by_commands(client: Client, protocol_dev: Dev) -> None:
    async with client.threads.stream(assistant_id="ask") as thread:
        at = thread.thread_id
        started = await thread.run.start(input={"count": 1})
        await until_asked(thread)
        state = (await commanded(protocol_dev, at, "state.get", keys=["count", "nothing"]))["result"]
        listed = (await commanded(protocol_dev, at, "state.listCheckpoints", limit=2))["result"]["checkpoints"]
        assert state["values"] == {"count": 2}
        assert state["checkpoint"] == {"id": listed[0]["id"], "ns": ""}
        assert [each["step"] for each in listed] == [1, 0]
        older = await commanded(protocol_dev, at, "state.listCheckpoints", before=listed[1]["id"])
        assert [each["step"] for each in older["result"]["checkpoints"]] == [-1]
        tree = (await commanded(protocol_dev, at, "agent.getTree", run_id=started["run_id"]))["result"]["tree"]
        assert tree == {"namespace": [], "status": "interrupted", "graph_name": "ask"}
        fork = (await commanded(protocol_dev, at, "state.fork", checkpoint_id=listed[1]["id"]))["result"]
        assert fork["thread_id"] == at
        await client.runs.join(at, fork["run_id"])
        newest = (await commanded(protocol_dev, at, "state.listCheckpoints", limit=1))["result"]["checkpoints"]
        assert newest[0]["id"] not in [each["id"] for each in listed]
        missing = {
            "state.fork": {"checkpoint_id": str(uuid4())},
            "state.get": {"namespace": ["nowhere:1"]},
        }
        codes = [
            (await commanded(protocol_dev, at, method, **params)).get("error") for method, params in missing.items()
        ]
        assert codes == ["no_such_checkpoint", "no_such_namespace"]


class Follower:
    """Reads a thread's events over HTTP, and comes back with `since` when it is cut off."""

    def __init__(self, url: str, thread_id: str) -> None:
        self.url = url
        self.path = f"/threads/{thread_id}/stream/events"
        self.told: list[Told] = []
        self.connections = 0

    async def read(self, ends: int = 1) -> None:
        """Read to the end of so many runs."""
        async with client_of(self.url) as http:
            while sum(ends_a_run(one) for one in self.told) < ends:
                try:
                    await self._connect(http, ends)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)

    def of_messages(self) -> list[dict[str, Any]]:
        return [one["params"]["data"] for one in self.told if one["method"] == "messages"]

    async def _connect(self, http: httpx.AsyncClient, ends: int) -> None:
        self.connections += 1
        since = {"since": self.told[-1]["seq"]} if self.told else {}
        async with http.stream("POST", self.path, json={"channels": ALL, **since}) as response:
            if response.status_code >= 500:
                await asyncio.sleep(0.05)
                return
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    self.told.append(json.loads(line.removeprefix("data:")))
                    if sum(ends_a_run(one) for one in self.told) == ends:
                        return


def text_in(messages: list[dict[str, Any]]) -> str:
    return "".join(data["delta"]["text"] for data in messages if data["event"] == "content-block-delta")


async def slow_run(client: Client, url: str) -> tuple[AsyncThreadStream, Follower, asyncio.Task[None]]:
    """A run that speaks slowly, of which a follower has read some words."""
    thread = client.threads.stream(assistant_id="chat")
    async with thread:
        await thread.run.start(input=user(SLOWLY))
    follower = Follower(url, thread.thread_id)
    reading = asyncio.create_task(follower.read())
    await until(lambda: len(text_in(follower.of_messages())) > 20)
    return thread, follower, reading


@pytest.mark.crash
async def test_what_a_killed_runner_had_half_told_is_told_anew(client: Client, protocol_dev: Dev) -> None:
    _, follower, reading = await slow_run(client, protocol_dev.url)
    kill_at_once(protocol_dev.running("relayrun_runner"))
    await asyncio.wait_for(reading, 90)
    seqs, ids = [one["seq"] for one in follower.told], [one["event_id"] for one in follower.told]
    assert (follower.connections, seqs) == (1, sorted(set(seqs)))
    assert len(set(ids)) == len(ids)
    messages = follower.of_messages()
    broken_off = next(index for index, data in enumerate(messages) if data["event"] == "error")
    assert messages[broken_off]["code"] == "attempt_lost"
    before, after = messages[:broken_off], messages[broken_off + 1 :]
    assert (before[0]["event"], after[0]["event"], after[-1]["event"]) == (
        *("message-start",) * 2,
        "message-finish",
    )
    assert f"{SLOWLY} ".startswith(text_in(before))
    assert text_in(after) == f"{SLOWLY} "
    root = [one["params"]["data"]["event"] for one in follower.told if one["method"] == "lifecycle"]
    assert root == ["running", "running", "completed"]
    checkpoints = [one["params"]["data"]["id"] for one in follower.told if one["method"] == "checkpoints"]
    assert len(set(checkpoints)) == len(checkpoints)
    # Whoever comes later is told the same.
    later = Follower(protocol_dev.url, follower.path.split("/")[2])
    await asyncio.wait_for(later.read(), 60)
    assert later.told == follower.told


@pytest.mark.crash
async def test_a_follower_comes_back_to_an_api_that_was_killed(client: Client, protocol_dev: Dev) -> None:
    _, follower, reading = await slow_run(client, protocol_dev.url)
    protocol_dev.running("relayrun_api")[0].kill()
    await asyncio.wait_for(reading, 90)
    assert follower.connections > 1
    seqs = [one["seq"] for one in follower.told]
    assert seqs == sorted(set(seqs))
    assert text_in(follower.of_messages()) == f"{SLOWLY} "
    later = Follower(protocol_dev.url, follower.path.split("/")[2])
    await asyncio.wait_for(later.read(), 60)
    assert later.told == follower.told


@pytest.mark.crash
@pytest.mark.parametrize("part", ["relayrun_api", "relayrun_runner"])
async def test_the_official_client_rides_over_a_killed_process(client: Client, protocol_dev: Dev, part: str) -> None:
    async with client.threads.stream(assistant_id="chat") as thread:
        await thread.run.start(input=user(SLOWLY))
        output = asyncio.ensure_future(_output(thread))
        message = await anext(aiter(thread.messages))
        for process in protocol_dev.running(part):
            process.kill()
        assert message is not None
        assert (await asyncio.wait_for(output, 90))["messages"][-1]["content"] == f"{SLOWLY} "


async def _output(thread: AsyncThreadStream) -> Any:
    return await thread.output
