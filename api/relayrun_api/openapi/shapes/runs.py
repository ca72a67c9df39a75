"""What the routes about runs answer with."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from relayrun_api.http import examples as things
from relayrun_core.runs import Durability, MultitaskStrategy


class RunKwargs(BaseModel):
    """What a run was started with."""

    input: Any
    command: dict[str, Any] | None
    config: dict[str, Any]
    context: dict[str, Any]
    stream_mode: list[str]
    interrupt_before: list[str] | Literal["*"] | None
    interrupt_after: list[str] | Literal["*"] | None
    webhook: str | None
    feedback_keys: None
    temporary: bool
    subgraphs: bool
    resumable: bool
    checkpoint_during: bool
    durability: Durability | None


class Run(BaseModel):
    """One execution of a graph on a thread. `attempt`: which try of it is under way; `number`: of the thread's runs."""

    model_config = things.example(
        run_id=things.RUN,
        thread_id=things.THREAD,
        assistant_id=things.ASSISTANT,
        created_at=things.BEGAN,
        updated_at=things.ENDED,
        status="success",
        metadata={"graph_id": "agent", "assistant_id": things.ASSISTANT},
        kwargs={
            "input": things.ASKED,
            "command": None,
            "config": {},
            "context": {},
            "stream_mode": ["values"],
            "interrupt_before": None,
            "interrupt_after": None,
            "webhook": None,
            "feedback_keys": None,
            "temporary": False,
            "subgraphs": False,
            "resumable": True,
            "checkpoint_during": True,
            "durability": "sync",
        },
        multitask_strategy="enqueue",
        cancel_reason=None,
        agent="default",
        graph="agent",
        number=2,
        attempt=1,
        runner="default-6f9c-0",
        reason=None,
        message=None,
        error=None,
        checkpoint_id=things.CHECKPOINT,
        started_at=things.BEGAN,
        finished_at=things.ENDED,
    )

    run_id: UUID
    thread_id: UUID
    assistant_id: UUID
    created_at: datetime
    updated_at: datetime
    status: Literal["pending", "running", "error", "success", "timeout", "interrupted"]
    metadata: dict[str, Any]
    started_with: RunKwargs = Field(serialization_alias="kwargs")
    multitask_strategy: MultitaskStrategy
    cancel_reason: str | None
    agent: str
    graph: str
    number: int
    attempt: int
    runner: str | None
    reason: str | None
    message: str | None
    error: dict[str, Any] | None
    checkpoint_id: str | None
    started_at: datetime | None
    finished_at: datetime | None


class Values(BaseModel):
    """A run's final values: whatever the graph's state holds. `__interrupt__`: its questions, where it asks some;
    `__error__` alone: what went wrong.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [things.ANSWERED]})
