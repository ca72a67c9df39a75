"""What the routes about threads and runs answer with, for the document alone: nothing is made of these models."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from relayrun_api.openapi import things
from relayrun_core.runs import Durability, MultitaskStrategy
from relayrun_core.states import ThreadStatus


class Interrupt(BaseModel):
    """A question that a graph asks; `id` names it in an answer."""

    model_config = things.example(id=things.QUESTION, value={"question": "Refund 40 EUR?"})

    id: str
    value: Any


class Failure(BaseModel):
    """What went wrong in a graph: the exception's type, and its message."""

    error: str | None
    message: str | None


class Ttl(BaseModel):
    """How long a thread is kept."""

    strategy: Literal["delete", "keep_latest"]
    ttl_minutes: float
    expires_at: datetime


class Thread(BaseModel):
    """A conversation: its values are those of its last finished run. `interrupts`: its questions, by task."""

    model_config = things.example(
        thread_id=things.THREAD,
        name=things.NAME,
        created_at=things.BEGAN,
        updated_at=things.ENDED,
        state_updated_at=things.ENDED,
        metadata={**things.METADATA, "graph_id": "agent"},
        status="interrupted",
        config={},
        values=things.ANSWERED,
        interrupts={things.TASK: [{"id": things.QUESTION, "value": {"question": "Refund 40 EUR?"}}]},
        error=None,
    )

    thread_id: UUID
    name: str | None
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    metadata: dict[str, Any]
    status: ThreadStatus
    config: dict[str, Any]
    values: Any
    interrupts: dict[str, list[Interrupt]]
    error: Failure | None
    ttl: Ttl | None = None


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


class Checkpoint(BaseModel):
    """Where a state is kept."""

    model_config = things.example(thread_id=things.THREAD, checkpoint_ns="", checkpoint_id=things.CHECKPOINT)

    thread_id: UUID
    checkpoint_ns: str
    checkpoint_id: str


class Task(BaseModel):
    """A node that runs next, or that asks something."""

    id: str
    name: str | None
    error: str | None
    interrupts: list[Interrupt]
    checkpoint: dict[str, Any] | None
    state: dict[str, Any] | None
    result: Any
    path: list[Any] | None = None


class ThreadState(BaseModel):
    """A thread's state at a checkpoint: its values, and what comes next."""

    model_config = things.example(
        values=things.ANSWERED,
        next=[],
        tasks=[],
        metadata={"source": "loop", "step": 6, "run_id": things.RUN},
        created_at=things.ENDED,
        checkpoint={"thread_id": things.THREAD, "checkpoint_ns": "", "checkpoint_id": things.CHECKPOINT},
        parent_checkpoint=None,
        interrupts=[],
        checkpoint_id=things.CHECKPOINT,
        parent_checkpoint_id=None,
    )

    values: Any
    next: list[str]
    tasks: list[Task]
    metadata: dict[str, Any] | None
    created_at: datetime | None
    checkpoint: dict[str, Any] | None
    parent_checkpoint: dict[str, Any] | None
    interrupts: list[Interrupt]
    checkpoint_id: str | None = None
    parent_checkpoint_id: str | None = None


class StateEdited(BaseModel):
    """The checkpoint that an edit made; `configurable` says the same in older clients' words."""

    model_config = things.example(
        checkpoint={"thread_id": things.THREAD, "checkpoint_ns": "", "checkpoint_id": things.CHECKPOINT},
        configurable={"thread_id": things.THREAD, "checkpoint_ns": "", "checkpoint_id": things.CHECKPOINT},
        checkpoint_id=things.CHECKPOINT,
    )

    checkpoint: Checkpoint
    configurable: Checkpoint
    checkpoint_id: str


class Pruned(BaseModel):
    """How many threads were pruned."""

    model_config = things.example(pruned_count=1)

    pruned_count: int
