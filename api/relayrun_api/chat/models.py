"""Bodies of the simple endpoints. They are ours, so a member we do not know is an error."""

from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from relayrun_api.threads.models import MAX_NAME

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
