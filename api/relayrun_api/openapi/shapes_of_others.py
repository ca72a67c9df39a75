"""What the other routes answer with, for the document alone: nothing is made of these models."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from relayrun_api.openapi import things
from relayrun_api.openapi.shapes_of_threads import Interrupt


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


class Cron(BaseModel):
    """A run that starts by the clock. `refusal`: why it did not start when it last should have."""

    model_config = things.example(
        cron_id=things.CRON,
        assistant_id=things.ASSISTANT,
        thread_id=None,
        user_id="ann",
        end_time=None,
        schedule="0 9 * * 1-5",
        timezone="Europe/Berlin",
        payload={"assistant_id": "agent", "input": things.ASKED},
        next_run_date="2026-11-24T08:00:00+00:00",
        metadata=things.METADATA,
        on_run_completed="delete",
        enabled=True,
        created_at=things.BEGAN,
        updated_at=things.BEGAN,
        last_run_date=None,
        last_run_id=None,
        refusal=None,
    )

    cron_id: UUID
    assistant_id: UUID | None
    thread_id: UUID | None
    user_id: str | None
    end_time: datetime | None
    schedule: str
    timezone: str | None
    payload: dict[str, Any]
    next_run_date: datetime | None
    metadata: dict[str, Any]
    on_run_completed: Literal["delete", "keep"] | None
    enabled: bool
    created_at: datetime
    updated_at: datetime
    last_run_date: datetime | None
    last_run_id: UUID | None
    refusal: str | None


class Item(BaseModel):
    """What is kept under a key of a namespace."""

    model_config = things.example(
        namespace=["users", "ann"],
        key="address",
        value={"city": "Bremen"},
        created_at=things.BEGAN,
        updated_at=things.ENDED,
    )

    namespace: list[str]
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class FoundItem(Item):
    """An item that was found. `score`: how near it is to what was asked for, where that was said in words."""

    score: float | None


class FoundItems(BaseModel):
    """Items, the nearest or the newest first."""

    model_config = things.example(
        items=[
            {
                "namespace": ["users", "ann"],
                "key": "address",
                "value": {"city": "Bremen"},
                "created_at": things.BEGAN,
                "updated_at": things.ENDED,
                "score": None,
            }
        ]
    )

    items: list[FoundItem]


class Namespaces(BaseModel):
    """Namespaces, each as its labels."""

    model_config = things.example(namespaces=[["users", "ann"]])

    namespaces: list[list[str]]


class CommandAnswer(BaseModel):
    """How a command went: its `result`, or `error` and `message`."""

    model_config = things.example(
        type="success", id=1, result={"run_id": things.RUN}, meta={"applied_through_seq": 4294967296}
    )

    type: Literal["success", "error"]
    id: int | None
    result: dict[str, Any] | None = None
    error: str | None = None
    message: str | None = None
    meta: dict[str, Any] | None = None


class Message(BaseModel):
    """One message of a conversation."""

    id: str | None
    role: Literal["user", "assistant", "tool", "system"]
    content: Any
    tool_calls: list[dict[str, Any]]
    tool_call_id: str | None = None


class Conversation(BaseModel):
    """A page of a conversation, oldest first; `next`: what to send as `before` for the page in front of it."""

    model_config = things.example(
        thread_id=things.NAME,
        messages=[
            {"id": "m1", "role": "user", "content": "Where is my order?", "tool_calls": [], "tool_call_id": None},
            {"id": "m2", "role": "assistant", "content": things.TOLD, "tool_calls": [], "tool_call_id": None},
        ],
        next=None,
    )

    thread_id: str
    messages: list[Message]
    next: str | None


class Invoked(BaseModel):
    """How a run ended: the assistant's last message, the questions that it asks, the graph's whole state."""

    model_config = things.example(
        run_id=things.RUN,
        thread_id=things.NAME,
        status="success",
        message={"id": "m2", "role": "assistant", "content": things.TOLD, "tool_calls": []},
        interrupts=[],
        values=things.ANSWERED,
        error=None,
    )

    run_id: UUID
    thread_id: str
    status: Literal["success", "interrupted", "error", "timeout", "cancelled"]
    message: Message | None
    interrupts: list[Interrupt]
    values: Any
    error: dict[str, Any] | None


class Accepted(BaseModel):
    """A run that was accepted: it will be finished, whatever crashes."""

    model_config = things.example(status="accepted", thread_id=things.NAME, run_id=things.RUN)

    status: Literal["accepted"]
    thread_id: str
    run_id: UUID


class Cancelling(BaseModel):
    """The run that is being cancelled; an empty object where its end was waited for."""

    model_config = things.example(run_id=things.RUN, thread_id=things.NAME)

    run_id: UUID | None = None
    thread_id: str | None = None


class Answering(BaseModel):
    """The server answers."""

    model_config = things.example(ok=True)

    ok: Literal[True]


class Info(BaseModel):
    """What the server is, and what it can."""

    model_config = things.example(
        version="0.1.0",
        server="relayrun",
        flags={"assistants": True, "crons": True, "langsmith": False},
        host={
            "kind": "self-hosted",
            "project_id": None,
            "host_revision_id": None,
            "revision_id": None,
            "tenant_id": None,
        },
    )

    version: str
    server: Literal["relayrun"]
    flags: dict[str, bool]
    host: dict[str, str | None]


class Alive(BaseModel):
    """All is well."""

    model_config = things.example(status="ok")

    status: Literal["ok"]


class Queue(BaseModel):
    """Runs that wait for a runner."""

    length: int
    oldest_seconds: float | None = Field(description="How long the oldest has waited, in seconds")
    blocked: str | None = Field(description="Why it does not move, if that is plain; for admins")


class Status(BaseModel):
    """How each part is. Who sends no token is told `status` alone."""

    model_config = things.example(
        status="ok",
        version="0.1.0",
        time="2026-11-23T14:30:00Z",
        checks={
            "database": {"status": "ok", "latency_ms": 1.2},
            "llm": {"status": "ok", "checked_seconds_ago": 12},
            "runners": {"status": "ok", "ready": 2, "desired": 2},
        },
        active_threads=7,
        active_threads_by_agent={"default": 7},
        queue={"length": 0, "oldest_seconds": None, "blocked": None},
    )

    status: Literal["ok", "degraded", "down"]
    version: str | None = None
    time: datetime | None = None
    checks: dict[str, dict[str, Any]] | None = None
    active_threads: int | None = None
    active_threads_by_agent: dict[str, int] | None = None
    queue: Queue | None = None
