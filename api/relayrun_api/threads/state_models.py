"""Bodies and answers about threads' states, as the LangGraph SDKs send and read them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from relayrun_api.http import examples as things
from relayrun_api.http.models import Contained, LangGraphBody, Name
from relayrun_api.threads.models import Interrupt

#: Parts of a state to answer with: its members, or `values.<key>` for one of its values.
StateFields = Annotated[list[Name], Field(max_length=100)]


class StateAt(LangGraphBody):
    """Which of a thread's states to get."""

    checkpoint: dict[str, Any]
    subgraphs: bool = False
    select: StateFields | None = None


class StateUpdate(LangGraphBody):
    """An edit of a thread's state."""

    values: dict[str, Any] | Annotated[list[Any], Field(max_length=10_000)] | None = None
    as_node: Name | None = None
    checkpoint: dict[str, Any] | None = None
    checkpoint_id: Name | None = None


class HistoryQuery(LangGraphBody):
    """Which of a thread's states to list."""

    limit: int = Field(default=1, ge=1, le=1000)
    before: Name | dict[str, Any] | None = None
    metadata: Contained | None = None
    checkpoint: dict[str, Any] | None = None
    select: StateFields | None = None


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
