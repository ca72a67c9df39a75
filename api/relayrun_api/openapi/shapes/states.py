"""What the routes about threads' states answer with."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from relayrun_api.http import examples as things
from relayrun_api.openapi.shapes.threads import Interrupt


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
