"""What tools are called and what they take: decided from assistants and graphs' schemas alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.mcp.schemas import input_schema
from relayrun_api.mcp.tools import named_tools
from relayrun_core.db.agents import GraphRow
from relayrun_core.db.assistants import AssistantRow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_assistant(name: str, graph: str, age: int = 0, *, identity: UUID | None = None) -> AssistantRow:
    made = NOON - timedelta(seconds=age)
    return AssistantRow(
        assistant_id=identity or uuid4(), owner=None, agent="a", graph=graph, name=name, description=None, config={},
        context={}, metadata={}, version=1, is_default=False, by_agent=False, created_at=made, updated_at=made,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("graphs", "others", "names"),
    [
        pytest.param({"agent": "agent"}, ["Refunds"], ["agent", "Refunds"], id="as they are called"),
        pytest.param({"agent": "New Graph"}, [], ["New_Graph"], id="a compiled graph's own name"),
        pytest.param({"a": "New", "b": "New"}, [], ["New", "b"], id="two that were compiled with one name"),
        pytest.param({"a": "b", "b": "b"}, [], ["a", "b"], id="the name of another graph"),
        pytest.param({"a": "b", "b": "a"}, [], ["b", "a"], id="each other's names"),
        pytest.param({"a": "a"}, ["a", "a"], ["a", "a_<1>", "a_<2>"], id="of a user's, like a graph"),
        pytest.param({"a": "resume_run"}, [], ["a"], id="the name of the tool for answers"),
        pytest.param({}, ["!!", "x" * 99], ["assistant", "x" * 64], id="what no tool can be called"),
    ],
)
def test_tools_have_their_assistants_names(graphs: dict[str, str], others: list[str], names: list[str]) -> None:
    own = [an_assistant(name, graph) for graph, name in graphs.items()]
    rows = [*own, *(an_assistant(name, "a") for name in others)]
    found = named_tools(rows, {row.assistant_id: row.graph for row in own})
    told = [name.replace("<1>", rows[1].assistant_id.hex[:8]) if "<1>" in name else name for name in names]
    told = [name.replace("<2>", rows[2].assistant_id.hex[:8]) if "<2>" in name else name for name in told]
    assert [named.name for named in found] == told
    assert [named.row for named in found] == rows


class Order(BaseModel):
    said: list[HumanMessage] = []


class Ordered(MessagesState):
    order: Order
    topic: str


class Plain(BaseModel):
    messages: list[str]


def told_of(schema: Any) -> dict[str, Any]:
    """What the tool takes of a graph whose input is this."""
    row = GraphRow(
        agent="a", graph="g", build="1", description=None, schemas={"input": schema}, drawing={}, registered_at=NOON
    )
    return input_schema(Assistant(an_assistant("g", "g"), "g", row))


def schema_of(state: Any) -> dict[str, Any]:
    graph = StateGraph(state).add_node("node", lambda state: state).add_edge(START, "node").compile()
    return told_of(graph.get_input_jsonschema())


def test_messages_are_a_text() -> None:
    schema = schema_of(MessagesState)
    assert schema["properties"]["messages"]["type"] == "string"
    assert schema["required"] == ["messages"]
    assert "$defs" not in schema


def test_what_other_fields_refer_to_stays() -> None:
    schema = schema_of(Ordered)
    assert set(schema["properties"]) == {"messages", "order", "topic"}
    assert {"Order", "HumanMessage"} == set(schema["$defs"])


def test_messages_that_are_none_of_langchains_stay() -> None:
    assert schema_of(Plain)["properties"]["messages"]["items"] == {"type": "string"}


def test_schemas_of_authors_own_making_stay() -> None:
    wild: dict[str, Any] = {"type": "object", "properties": {"messages": {"$ref": 7}, "a": {"$ref": "#/$defs/none"}}}
    for schema in (wild, {**wild, "$defs": {"none": {"$ref": "#/$defs/none"}}}, {**wild, "properties": 1}):
        assert told_of(schema) == schema
