"""What the server answers about itself."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, WithJsonSchema, with_config
from typing_extensions import TypedDict

from relayrun_api.http import examples as things

Overall = Literal["ok", "degraded", "down"]


@dataclass
class Answering:
    """The server answers."""

    __pydantic_config__ = things.example(ok=True, services={})

    ok: Literal[True]
    services: Annotated[
        dict[str, Any], Field(description="Nothing, as the Agent Server answers without services of its own")
    ]


@dataclass
class Info:
    """What the server is, and what it can."""

    __pydantic_config__ = things.example(
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


@dataclass
class Alive:
    """All is well."""

    __pydantic_config__ = things.example(status="ok")

    status: Literal["ok"]


@dataclass
class Revision:
    """A template that an Agent's runners were made from."""

    __pydantic_config__ = things.example(
        name="5d41402a",
        image="registry.example/support:1.4",
        current=False,
        created_at="2026-11-16T09:00:00Z",
        replaced_at="2026-11-23T09:00:00Z",
        pinned_until="2026-11-30T09:00:00Z",
        runners=0,
        open_threads=2,
    )

    name: Annotated[str, Field(description="The template's hash")]
    image: str
    current: bool
    created_at: str
    replaced_at: Annotated[str | None, Field(description="When another took its place")]
    pinned_until: Annotated[str | None, Field(description="Until when it keeps its open threads, if it does")]
    runners: int
    open_threads: Annotated[int, Field(description="Threads that began there and are busy or wait for an answer")]


@dataclass
class Queue:
    """Runs that wait for a runner."""

    length: int
    oldest_seconds: Annotated[float | None, Field(description="How long the oldest has waited, in seconds")]
    blocked: Annotated[str | None, Field(description="Why it does not move, if that is plain; for admins")]


@with_config(
    things.example(
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
)
class Status(TypedDict):
    """How each part is. Who sends no token is told `status` alone."""

    status: Overall
    version: NotRequired[str | None]
    time: NotRequired[Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})] | None]
    checks: NotRequired[dict[str, dict[str, Any]] | None]
    active_threads: NotRequired[int | None]
    active_threads_by_agent: NotRequired[dict[str, int] | None]
    queue: NotRequired[Queue | None]
