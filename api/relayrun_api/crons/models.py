"""Bodies about crons, as the LangGraph SDKs send them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool

from relayrun_api.crons.schedules import LONGEST_SCHEDULE, LONGEST_ZONE, check_schedule, check_zone
from relayrun_api.http import examples as things
from relayrun_api.http.models import Contained, LangGraphBody, Name
from relayrun_api.runs.models import OnDisconnect, RunCreate
from relayrun_core.db import crons as db
from relayrun_core.db.crons import SortBy

#: Of a cron's run: it is stored anew each time that it fires.
MAX_PAYLOAD_BYTES = 64 * 1024
#: The members of a body that are the cron's own, or that mean nothing without a caller who waits.
_NOT_THE_RUNS = frozenset(
    {
        "schedule",
        "timezone",
        "end_time",
        "enabled",
        "on_run_completed",
        "on_completion",
        "on_disconnect",
        "if_not_exists",
        "after_seconds",
    }
)
#: The members of a change that say when it runs, and not what.
_WHEN = frozenset({"schedule", "timezone", "end_time", "enabled"})
_YEARS = range(1970, 9000)

CronField = Literal[
    "cron_id",
    "assistant_id",
    "thread_id",
    "on_run_completed",
    "end_time",
    "schedule",
    "timezone",
    "created_at",
    "updated_at",
    "user_id",
    "payload",
    "next_run_date",
    "metadata",
    "enabled",
]


def _in_utc(value: datetime) -> datetime:
    if value.year not in _YEARS:
        raise ValueError(f"must be in a year from {_YEARS.start} to {_YEARS.stop - 1}")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Schedule = Annotated[str, Field(max_length=LONGEST_SCHEDULE), AfterValidator(check_schedule)]
Zone = Annotated[str, Field(max_length=LONGEST_ZONE), AfterValidator(check_zone)]
#: Without an offset it is UTC.
Moment = Annotated[datetime, AfterValidator(_in_utc)]


class CronCreate(RunCreate):
    """A run that starts by the clock."""

    on_disconnect: OnDisconnect = "continue"
    schedule: Schedule
    timezone: Zone | None = None
    end_time: Moment | None = None
    enabled: StrictBool = True
    on_run_completed: Literal["delete", "keep"] | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The run's body, as far as it was given."""
        return self.model_dump(mode="json", exclude_unset=True, exclude=set(_NOT_THE_RUNS))


class CronPatch(RunCreate):
    """What to change of a cron. Null takes the run's members, `end_time` and `timezone` away."""

    assistant_id: Name = ""  # a cron keeps its own
    schedule: Schedule | None = None
    timezone: Zone | None = None
    end_time: Moment | None = None
    enabled: StrictBool | None = None
    on_run_completed: Literal["delete", "keep"] | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The members of the run's body to change, without its metadata, which are merged."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={*_NOT_THE_RUNS, "assistant_id", "metadata"})

    @property
    def says_what_runs(self) -> bool:
        """Whether it changes more than when the cron runs."""
        return not self.model_fields_set <= _WHEN

    @property
    def only_pauses(self) -> bool:
        """Whether all it does is to stop the cron."""
        return self.model_fields_set == {"enabled"} and self.enabled is False


class CronCount(LangGraphBody):
    """Which crons to count."""

    assistant_id: Name | None = None
    thread_id: Name | None = None
    metadata: Contained | None = None


class CronSearch(CronCount):
    """Which crons to list."""

    enabled: StrictBool | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, lt=2**63)
    sort_by: SortBy | None = None
    sort_order: Literal["asc", "desc"] = "desc"
    select: list[CronField] | None = Field(default=None, max_length=100)


class CronPreview(LangGraphBody):
    """A schedule, to see when it would fire."""

    schedule: Schedule
    timezone: Zone | None = None
    limit: int = Field(default=5, ge=1, le=10)


@dataclass
class Firings:
    """When a schedule fires, in UTC."""

    __pydantic_config__ = things.example(next=["2026-11-24T08:00:00+00:00", "2026-11-25T08:00:00+00:00"])

    next: list[datetime]


@dataclass
class Cron:
    """A run that starts by the clock. `refusal`: why it did not start when it last should have."""

    __pydantic_config__ = things.example(
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

    @classmethod
    def of(cls, cron: db.Cron) -> Self:
        """What is told of a row; what the Agent Server does not know stands behind what it does."""
        return cls(
            cron_id=cron.cron_id,
            assistant_id=cron.assistant_id,
            thread_id=cron.thread_id,
            user_id=cron.owner,
            end_time=cron.end_time,
            schedule=cron.schedule,
            timezone=cron.timezone,
            payload=cron.payload,
            next_run_date=cron.next_run_at,
            metadata=cron.metadata,
            on_run_completed=cron.on_run_completed,
            enabled=cron.enabled,
            created_at=cron.created_at,
            updated_at=cron.updated_at,
            last_run_date=cron.last_run_at,
            last_run_id=cron.last_run_id,
            refusal=cron.refusal,
        )
