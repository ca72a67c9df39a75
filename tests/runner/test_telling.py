"""What a run tells in the modes that LangGraph's own `astream` does not have."""

from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from relayrun_core.runs import RunSpec
from relayrun_runner.graphs import Graph
from relayrun_runner.telling import Teller, chunks

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
    teller = Teller(spec)
    return [event async for chunk in chunks(_graph(), ASKED, {}, spec) for event in teller.tell(chunk)]


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
