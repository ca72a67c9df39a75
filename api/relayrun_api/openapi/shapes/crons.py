"""What the routes about crons answer with."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from relayrun_api.http import examples as things


class Cron(BaseModel):
    """A run that starts by the clock. `refusal`: why it did not start when it last should have."""

    model_config = things.example(
        cron_id=things.CRON,
        assistant_id=things.ASSISTANT,
        thread_id=None,
        user_id="ann",
        end_time=None,
        schedule="0 9 * * 1-5",
        timezone="Europe/Berlin",
        payload={"assistant_id": "agent", "input": things.ASKED},
        next_run_date="2026-11-24T08:00:00+00:00",
        metadata=things.METADATA,
        on_run_completed="delete",
        enabled=True,
        created_at=things.BEGAN,
        updated_at=things.BEGAN,
        last_run_date=None,
        last_run_id=None,
        refusal=None,
    )

    cron_id: UUID
    assistant_id: UUID | None
    thread_id: UUID | None
    user_id: str | None
    end_time: datetime | None
    schedule: str
    timezone: str | None
    payload: dict[str, Any]
    next_run_date: datetime | None
    metadata: dict[str, Any]
    on_run_completed: Literal["delete", "keep"] | None
    enabled: bool
    created_at: datetime
    updated_at: datetime
    last_run_date: datetime | None
    last_run_id: UUID | None
    refusal: str | None
