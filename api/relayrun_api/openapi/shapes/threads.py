"""What the routes about threads answer with."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from relayrun_api.http import examples as things
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


class Pruned(BaseModel):
    """How many threads were pruned."""

    model_config = things.example(pruned_count=1)

    pruned_count: int
