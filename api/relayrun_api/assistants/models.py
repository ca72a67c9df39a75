"""Bodies about assistants, as the LangGraph SDKs send them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from relayrun_api.assistants import lookup
from relayrun_api.http import examples as things
from relayrun_api.http.errors import BadRequest
from relayrun_api.http.models import Config, Contained, LangGraphBody, Name, Object
from relayrun_core.db import assistants as rows
from relayrun_core.db.assistant_search import SortBy, SortOrder
from relayrun_core.runs import without_claims

_LONGEST_DESCRIPTION = 4096

AssistantField = Literal[
    "assistant_id",
    "graph_id",
    "config",
    "context",
    "metadata",
    "name",
    "created_at",
    "updated_at",
    "version",
    "description",
]


Offset = Annotated[int, Field(ge=0, lt=2**63)]
Limit = Annotated[int, Field(ge=1, le=1000)]


class AssistantSettings(LangGraphBody):
    """What an assistant is made of, as far as it is given. `context` and `config.configurable` say the same."""

    config: Config | None = None
    context: Object | None = None
    metadata: Object | None = None
    name: Name | None = None
    description: Annotated[str, Field(max_length=_LONGEST_DESCRIPTION)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "AssistantSettings":
        if self.context and self.config and self.config.configurable:
            raise BadRequest("Send `context` or `config.configurable`, not both: `context` is the newer name.")
        return self

    def settings(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Config and context, None for what stays as it is: what is said in one of them is said in both.

        A config that says nothing of the kind leaves the context, as the Agent Server has it.
        """
        context = None if self.context is None else without_claims(self.context)
        given = self.config.given if self.config else {}
        if not given:
            return None, context
        configurable = without_claims(given.pop("configurable", {}))
        if said := configurable or context:
            given["configurable"] = said
        return given, said or context


class AssistantCreate(AssistantSettings):
    """A new assistant."""

    graph_id: Annotated[Name, Field(min_length=1)]
    assistant_id: UUID | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None

    def settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Config and context."""
        config, context = super().settings()
        return config or ({"configurable": context} if context else {}), context or {}


class AssistantPatch(AssistantSettings):
    """What the next version changes. `metadata` is merged; all else replaces what was."""

    graph_id: Name | None = None


class LatestVersion(LangGraphBody):
    """The version to use."""

    version: int = Field(ge=0, lt=2**31)


class VersionSearch(LangGraphBody):
    """Which versions to list."""

    metadata: Contained | None = None
    limit: Limit = 10
    offset: Offset = 0


class AssistantCount(LangGraphBody):
    """Which assistants to count."""

    metadata: Contained | None = None
    graph_id: Name | None = None
    name: Name | None = None


class AssistantSearch(AssistantCount):
    """Which assistants to list."""

    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | None = None
    sort_order: SortOrder = "desc"
    select: Annotated[list[AssistantField], Field(max_length=100)] | None = None


@dataclass
class Assistant:
    """A graph with configuration."""

    __pydantic_config__ = things.example(
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

    @classmethod
    def of(cls, assistant: lookup.Assistant) -> Self:
        """What is told of an assistant at its current version."""
        row = assistant.row
        return cls(
            assistant_id=row.assistant_id,
            graph_id=assistant.graph_id,
            config=row.config,
            context=row.context,
            metadata=row.metadata,
            name=row.name,
            created_at=row.created_at,
            updated_at=row.updated_at,
            version=row.version,
            description=row.description,
        )


@dataclass
class AssistantVersion:
    """An assistant as it was at one of its versions."""

    __pydantic_config__ = things.example(
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

    @classmethod
    def of(cls, version: rows.AssistantVersion, graph_id: str) -> Self:
        """What is told of a row."""
        return cls(
            assistant_id=version.assistant_id,
            version=version.version,
            graph_id=graph_id,
            config=version.config,
            context=version.context,
            metadata=version.metadata,
            created_at=version.created_at,
            name=version.name,
            description=version.description,
        )


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


@dataclass
class SubgraphSchemas:
    """The JSON schemas of a subgraph; null where LangGraph cannot make one."""

    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    state_schema: dict[str, Any] | None
    config_schema: dict[str, Any] | None
    context_schema: dict[str, Any] | None

    @classmethod
    def of(cls, schemas: Mapping[str, Any], **more: Any) -> Self:
        """Of what a runner calls input, output, state, config and context."""
        kinds = ("input", "output", "state", "config", "context")
        return cls(**{f"{kind}_schema": schemas.get(kind) for kind in kinds}, **more)


@dataclass
class GraphSchemas(SubgraphSchemas):
    """The JSON schemas of a graph; null where LangGraph cannot make one."""

    __pydantic_config__ = things.example(graph_id="agent", **_SCHEMAS)

    graph_id: str


#: By the subgraph's namespace.
SUBGRAPHS_EXAMPLE = {"lookup": _SCHEMAS}
