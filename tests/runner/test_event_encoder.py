"""What a run tells in the modes that LangGraph's own `astream` does not have."""

from typing import Any

import orjson
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from relayrun_core.runs import RunSpec
from relayrun_runner.attempt.events import EventEncoder, chunks
from relayrun_runner.graphs.loading import Graph
from relayrun_runner.graphs.serialize import dumps

ASKED = {"messages": [{"role": "user", "content": "hi", "id": "u1"}]}


async def _spoken(state: MessagesState) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage(content="hello there")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


async def _fixed(_: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(content="bye", id="fixed")]}


def _graph() -> Graph:
    builder = StateGraph(MessagesState).add_node("spoken", _spoken).add_node("fixed", _fixed)
    return builder.add_edge(START, "spoken").add_edge("spoken", "fixed").add_edge("fixed", END).compile()


async def _told(*modes: str, subgraphs: bool = False) -> list[tuple[str, Any]]:
    spec = RunSpec(stream_modes=list(modes), stream_subgraphs=subgraphs)
    encoder = EventEncoder(spec)
    return [event async for chunk in chunks(_graph(), ASKED, {}, spec) for event in encoder.encode(chunk)]


async def test_messages_grow_until_they_are_whole() -> None:
    told = await _told("messages")
    names = [name for name, _ in told]
    assert names == ["messages/metadata", *["messages/partial"] * 3, "messages/metadata", "messages/complete"]
    assert [data[0].content for name, data in told if name == "messages/partial"] == ["hello", "hello ", "hello there"]
    assert told[-1][1][0].content == "bye"
    assert told[4][1]["fixed"]["metadata"]["langgraph_node"] == "fixed"


async def test_who_asks_for_tuples_too_gets_tuples() -> None:
    assert {name for name, _ in await _told("messages", "messages-tuple")} == {"messages"}


async def test_events_stand_among_the_graphs_own_chunks() -> None:
    told = await _told("events", "updates")
    assert [list(data) for name, data in told if name == "updates"] == [["spoken"], ["fixed"]]
    kinds = [data["event"] for name, data in told if name == "events"]
    assert kinds[0] == "on_chain_start"
    assert kinds.count("on_chat_model_stream") == 3
    assert kinds[-1] == "on_chain_end"


async def test_events_alone_come_without_the_graphs_chunks() -> None:
    assert {name for name, _ in await _told("events")} == {"events"}
    assert {name for name, _ in await _told("events", "updates", subgraphs=True)} == {"events", "updates"}


async def _unnamed(_: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(content="a"), AIMessage(content="b", id="own")]}


async def test_messages_have_their_ids_when_a_step_is_told_before_it_is_applied() -> None:
    """`stream_eager` is how runners execute: an update comes before the reducer has seen it."""
    graph = StateGraph(MessagesState).add_node("unnamed", _unnamed).add_edge(START, "unnamed").compile()
    eager = graph.copy({"stream_eager": True})
    spec = RunSpec(stream_modes=["updates", "values"])
    told = [
        orjson.loads(dumps(data))  # at once, as a run does
        async for chunk in chunks(eager, {"messages": []}, {}, spec)
        for _, data in EventEncoder(spec).encode(chunk)
    ]
    updates = [message["id"] for data in told if "unnamed" in data for message in data["unnamed"]["messages"]]
    assert all(updates)
    assert updates[1] == "own"
    assert [message["id"] for message in told[-1]["messages"]] == updates


async def test_debug_events_name_their_checkpoints() -> None:
    inner = StateGraph(MessagesState).add_node("fixed", _fixed).add_edge(START, "fixed").compile()
    graph = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner")
    saved = graph.compile(checkpointer=InMemorySaver())
    spec, config = RunSpec(stream_modes=["debug"]), {"configurable": {"thread_id": "t"}}
    told = [event async for chunk in chunks(saved, ASKED, config, spec) for event in EventEncoder(spec).encode(chunk)]  # type: ignore[arg-type]
    payloads = [data["payload"] for _, data in told if data["type"] == "checkpoint"]
    ids = [payload["config"]["configurable"]["checkpoint_id"] for payload in payloads]
    places = [{"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": found} for found in ids]
    assert [payload["checkpoint"] for payload in payloads] == places
    assert [payload["parent_checkpoint"] for payload in payloads] == [None, *places[:-1]]
    task = payloads[1]["tasks"][0]
    assert task["name"] == "inner"
    assert "state" not in task
    assert task["checkpoint"] == {"thread_id": "t", "checkpoint_ns": f"inner:{task['id']}"}
    assert payloads[0]["tasks"][0]["state"] is None, "a plain node has none"


async def test_the_event_protocol_is_told_which_checkpoint_it_is_and_not_its_values() -> None:
    graph = (
        StateGraph(MessagesState)
        .add_node("fixed", _fixed)
        .add_edge(START, "fixed")
        .compile(checkpointer=InMemorySaver())
    )
    for modes, values in ((["checkpoints"], True), (["checkpoints", "lifecycle"], False)):
        spec, config = RunSpec(stream_modes=modes), {"configurable": {"thread_id": modes[-1]}}
        told = [
            event async for chunk in chunks(graph, ASKED, config, spec) for event in EventEncoder(spec).encode(chunk)
        ]  # type: ignore[arg-type]
        assert {name for name, _ in told} == {"checkpoints"}
        assert all(data["config"]["configurable"]["checkpoint_id"] for _, data in told)
        assert [data["metadata"]["step"] for _, data in told] == [-1, 0, 1]
        assert {"values" in data for _, data in told} == {values}


def test_the_event_protocol_is_told_content_in_langchains_forms_where_a_provider_has_others() -> None:
    thinking = [{"type": "thinking", "thinking": "hm", "index": 0}]
    plain = AIMessageChunk("so", id="m", response_metadata={"model_provider": "anthropic"})
    provided = plain.model_copy(update={"content": thinking})
    ordinary, protocol = (
        EventEncoder(RunSpec(stream_modes=modes)) for modes in (["messages-tuple"], ["messages-tuple", "lifecycle"])
    )
    for encoder, message in ((ordinary, plain), (ordinary, provided), (protocol, plain)):
        assert list(encoder.encode(((), "messages", (message, {})))) == [("messages", (message, {}))]
    [(name, [told, metadata])] = protocol.encode(((), "messages", (provided, {"a": 1})))
    assert (name, metadata, told["id"], told["type"]) == ("messages", {"a": 1}, "m", "AIMessageChunk")
    assert [(block["type"], block["reasoning"]) for block in told["content_blocks"]] == [("reasoning", "hm")]


def test_content_that_has_no_such_form_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: AIMessage) -> Any:
        raise KeyError("type")

    monkeypatch.setattr(AIMessage, "content_blocks", property(broken))
    message = AIMessage([{"odd": 1}], id="m")
    encoder = EventEncoder(RunSpec(stream_modes=["messages-tuple", "lifecycle"]))
    assert list(encoder.encode(((), "messages", (message, {})))) == [("messages", (message, {}))]
