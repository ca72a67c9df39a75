"""What the simple endpoints answer with."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from relayrun_api.http import examples as things
from relayrun_api.openapi.shapes.threads import Interrupt


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
