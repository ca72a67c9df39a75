"""Bodies of the simple endpoints. They are ours, so a member we do not know is an error."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from relayrun_api.http import examples as things
from relayrun_api.streaming.messages import Message
from relayrun_api.threads.models import MAX_NAME, Interrupt

MAX_MESSAGE = 10_000
MAX_USER_CONTEXT_BYTES = 16 * 1024


class ChatBody(BaseModel):
    """What `/chat`, `/invoke` and `/run-task` take."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"message": "Where is my refund?", "thread_id": "refund-4711"}]},
    )

    message: str | None = Field(default=None, min_length=1, max_length=MAX_MESSAGE)
    thread_id: str = Field(default="default_user", min_length=1, max_length=MAX_NAME)
    user_context: dict[str, Any] = Field(default_factory=dict)
    assistant_id: str | None = Field(default=None, min_length=1, max_length=256)
    resume: Any = None

    @field_validator("user_context")
    @classmethod
    def _bounded(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(orjson.dumps(value)) > MAX_USER_CONTEXT_BYTES:
            raise ValueError(f"must be at most {MAX_USER_CONTEXT_BYTES} bytes of JSON")
        return value

    @model_validator(mode="after")
    def _message_or_resume(self) -> "ChatBody":
        if (self.message is None) == ("resume" not in self.model_fields_set):
            raise ValueError("send either `message` or `resume`")
        if self.message is None and self.resume is None:
            raise ValueError("`resume` must not be null: LangGraph takes that as no answer")
        return self


@dataclass
class Conversation:
    """A page of a conversation, oldest first; `next`: what to send as `before` for the page in front of it."""

    __pydantic_config__ = things.example(
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


Ended = Literal["success", "interrupted", "error", "timeout", "cancelled"]


@dataclass
class Invoked:
    """How a run ended: the assistant's last message, the questions that it asks, the graph's whole state."""

    __pydantic_config__ = things.example(
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
    status: Ended
    message: Message | None
    interrupts: list[Interrupt]
    values: Any
    error: dict[str, Any] | None


@dataclass
class Accepted:
    """A run that was accepted: it will be finished, whatever crashes."""

    __pydantic_config__ = things.example(status="accepted", thread_id=things.NAME, run_id=things.RUN)

    status: Literal["accepted"]
    thread_id: str
    run_id: UUID
