"""What the routes about the server itself answer with."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from relayrun_api.http import examples as things


class Answering(BaseModel):
    """The server answers."""

    model_config = things.example(ok=True, services={})

    ok: Literal[True]
    services: dict[str, Any] = Field(description="Nothing, as the Agent Server answers without services of its own")


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
