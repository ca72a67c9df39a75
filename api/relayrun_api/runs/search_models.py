"""Bodies and answers of searches across threads, with our own run states, which are more than the Agent Server's."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from relayrun_api.http import examples as things
from relayrun_api.http.models import LangGraphBody, Name
from relayrun_core.db import run_search as db
from relayrun_core.ids import uuid_of
from relayrun_core.states import RunStatus

LARGEST_PAGE = 200
LONGEST_MINUTES = 24 * 60
_MOST_BUCKETS = 60


_SUMMARY = {
    "run_id": things.RUN,
    "thread_id": things.THREAD,
    "thread_name": things.NAME,
    "owner": "ann",
    "assistant_id": things.ASSISTANT,
    "agent": "default",
    "graph": "agent",
    "number": 2,
    "state": "interrupted",
    "waiting": True,
    "reason": "WaitingForInput",
    "message": None,
    "attempt": 1,
    "runner": "default-6f9c-0",
    "metadata": things.METADATA,
    "created_at": things.BEGAN,
    "started_at": things.BEGAN,
    "finished_at": things.ENDED,
}


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it must not contain NUL")
    return text


Text = Annotated[Name, AfterValidator(_without_nul)]


def encode_cursor(cursor: db.Cursor) -> str:
    """The cursor as text that clients send back as it is."""
    return base64.urlsafe_b64encode(f"{cursor.created_at.isoformat()} {cursor.run_id}".encode()).decode().rstrip("=")


def decode_cursor(text: str) -> db.Cursor:
    """The cursor that was sent back. Raises ValueError."""
    try:
        at, _, run_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
        found, created_at = uuid_of(run_id), datetime.fromisoformat(at)
    except (binascii.Error, ValueError):
        found = None
    if found is None or created_at.tzinfo is None:
        raise ValueError("it is not a cursor: send `next` of the previous page unchanged, or leave it out")
    return db.Cursor(created_at, found)


def _is_cursor(text: str) -> str:
    decode_cursor(text)
    return text


class RunFilter(LangGraphBody):
    """Which runs are meant: those that meet all that is said."""

    status: list[RunStatus] | None = Field(default=None, max_length=len(RunStatus), description="One of these")
    agent: Text | None = Field(default=None, description="Which agent's")
    graph: Text | None = Field(default=None, description="Which graph's")
    assistant_id: UUID | None = Field(default=None, description="Which assistant's")
    thread_id: Text | None = Field(default=None, description="A UUID, or your own name for the thread")
    owner: Text | None = Field(default=None, description="For admins. Others see only their own runs")
    created_after: AwareDatetime | None = Field(default=None, description="Not before this time")
    created_before: AwareDatetime | None = Field(default=None, description="Before this time")
    text: Text | None = Field(default=None, description="Searches metadata, thread names, run ids and thread ids")


class RunSearch(RunFilter):
    """Which runs to list."""

    limit: int = Field(default=50, ge=1, le=LARGEST_PAGE, description="The most items to return")
    cursor: Annotated[str, Field(max_length=256), AfterValidator(_is_cursor)] | None = Field(
        default=None, description="`next` of the previous page"
    )

    @property
    def after(self) -> db.Cursor | None:
        """The run that the page before ended with."""
        return None if self.cursor is None else decode_cursor(self.cursor)


class RunCount(RunFilter):
    """Which runs to count, of those that ended in the last minutes."""

    minutes: int = Field(default=60, ge=5, le=LONGEST_MINUTES, description="How many minutes to look back")

    @property
    def bucket_seconds(self) -> int:
        """How long a bucket is: at most sixty of them."""
        return 60 * max(1, -(-self.minutes // _MOST_BUCKETS))


@dataclass
class RunSummary:
    """A run without its input. `state` is one of delayed, pending, running, success, interrupted, error, timeout and
    cancelled. `waiting`: its questions have no answer yet.
    """

    __pydantic_config__ = things.example(**_SUMMARY)

    run_id: UUID
    thread_id: UUID
    thread_name: str | None
    owner: str | None
    assistant_id: UUID | None
    agent: str
    graph: str
    number: int
    state: RunStatus
    waiting: bool
    reason: str | None
    message: str | None
    attempt: int
    runner: str | None
    metadata: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, found: db.FoundRun) -> Self:
        """What is told of a row."""
        return cls(
            run_id=found.run_id,
            thread_id=found.thread_id,
            thread_name=found.thread_name,
            owner=found.owner,
            assistant_id=found.assistant_id,
            agent=found.agent,
            graph=found.graph,
            number=found.number,
            state=found.status,
            waiting=found.waiting,
            reason=found.reason,
            message=found.message,
            attempt=found.attempt,
            runner=found.runner,
            metadata=found.metadata,
            created_at=found.created_at,
            started_at=found.started_at,
            finished_at=found.finished_at,
        )


@dataclass
class RunPage:
    """Runs, newest first. `next`: the cursor of what is behind them; there may be some even where `runs` is short or
    empty, because a search looks at a bounded number of runs.
    """

    __pydantic_config__ = things.example(runs=[_SUMMARY], next=None)

    runs: list[RunSummary]
    next: str | None
