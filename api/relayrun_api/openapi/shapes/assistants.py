"""What the routes about assistants answer with."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from relayrun_api.http import examples as things


class Assistant(BaseModel):
    """A graph with configuration."""

    model_config = things.example(
        assistant_id=things.ASSISTANT,
        graph_id="agent",
        config={},
        context={"language": "de"},
        metadata=things.METADATA,
        name="Refunds",
        created_at=things.BEGAN,
        updated_at=things.ENDED,
        version=1,
        description="Answers in German.",
    )

    assistant_id: UUID
    graph_id: str
    config: dict[str, Any]
    context: dict[str, Any] | None
    metadata: dict[str, Any]
    name: str | None
    created_at: datetime
    updated_at: datetime
    version: int
    description: str | None


class AssistantVersion(BaseModel):
    """An assistant as it was at one of its versions."""

    model_config = things.example(
        assistant_id=things.ASSISTANT,
        version=1,
        graph_id="agent",
        config={},
        context={"language": "de"},
        metadata=things.METADATA,
        created_at=things.BEGAN,
        name="Refunds",
        description="Answers in German.",
    )

    assistant_id: UUID
    version: int
    graph_id: str
    config: dict[str, Any]
    context: dict[str, Any] | None
    metadata: dict[str, Any]
    created_at: datetime
    name: str | None
    description: str | None


class Node(BaseModel):
    """A node of a drawing. A subgraph's nodes have its name before theirs: `lookup:find`."""

    id: str
    type: str | None = None
    data: Any = None


class Edge(BaseModel):
    """An edge of a drawing; `conditional`: it is taken or not."""

    source: str
    target: str
    conditional: bool | None = None


class Drawing(BaseModel):
    """A graph's nodes and edges."""

    model_config = things.example(
        nodes=[
            {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
            {"id": "answer", "type": "runnable", "data": {"name": "answer"}},
            {"id": "__end__"},
        ],
        edges=[{"source": "__start__", "target": "answer"}, {"source": "answer", "target": "__end__"}],
    )

    nodes: list[Node]
    edges: list[Edge]


_MESSAGES = {"type": "object", "properties": {"messages": {"type": "array"}}, "required": ["messages"]}
_SCHEMAS = {
    "input_schema": _MESSAGES,
    "output_schema": _MESSAGES,
    "state_schema": _MESSAGES,
    "config_schema": None,
    "context_schema": {"type": "object", "properties": {"language": {"type": "string"}}},
}


class SubgraphSchemas(BaseModel):
    """The JSON schemas of a subgraph; null where LangGraph cannot make one."""

    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    state_schema: dict[str, Any] | None
    config_schema: dict[str, Any] | None
    context_schema: dict[str, Any] | None


class GraphSchemas(SubgraphSchemas):
    """The JSON schemas of a graph; null where LangGraph cannot make one."""

    model_config = things.example(graph_id="agent", **_SCHEMAS)

    graph_id: str


#: By the subgraph's namespace.
SUBGRAPHS_EXAMPLE = {"lookup": _SCHEMAS}
