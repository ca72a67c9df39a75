"""What the event protocol's commands are answered with."""

from typing import Any, Literal

from pydantic import BaseModel

from relayrun_api.http import examples as things


class CommandAnswer(BaseModel):
    """How a command went: its `result`, or `error` and `message`."""

    model_config = things.example(
        type="success", id=1, result={"run_id": things.RUN}, meta={"applied_through_seq": 4294967296}
    )

    type: Literal["success", "error"]
    id: int | None
    result: dict[str, Any] | None = None
    error: str | None = None
    message: str | None = None
    meta: dict[str, Any] | None = None
