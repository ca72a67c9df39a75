"""Bodies about threads, as the LangGraph SDKs send them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NotRequired, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator, with_config
from typing_extensions import TypedDict

from relayrun_api.http import examples as things
from relayrun_api.http.models import Contained, LangGraphBody, Name, Object
from relayrun_api.settings.keep import LONGEST_TTL_MINUTES
from relayrun_api.threads.extract import MAX_PATHS, Extract
from relayrun_core.db import rows
from relayrun_core.db.rows import TtlStrategy
from relayrun_core.db.thread_search import SortBy, SortOrder
from relayrun_core.states import ThreadStatus

MAX_NAME = 256
MAX_IDS = 1000
#: Of one new thread; each becomes a checkpoint, in one transaction.
MAX_SUPERSTEPS = 1000
ThreadField = Literal[
    "thread_id",
    "name",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "config",
    "context",
    "status",
    "values",
    "interrupts",
    "error",
]
ThreadName = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


class ThreadTtl(LangGraphBody):
    """How long a thread is kept, in minutes from its last update on."""

    ttl: float = Field(gt=0, le=LONGEST_TTL_MINUTES)
    strategy: TtlStrategy = "delete"

    @property
    def given(self) -> rows.Ttl:
        """The same for the database."""
        return rows.Ttl(self.ttl, self.strategy)


class RunCommand(LangGraphBody):
    """What to do beside running on: answer an interrupt, change the state, go to a node."""

    resume: Any = None
    update: Any = None
    goto: Any = None


class SuperstepUpdate(LangGraphBody):
    """What one node of a superstep returned: `values`, or a command in their place."""

    values: Any = None
    command: RunCommand | None = None
    as_node: Name


class Superstep(LangGraphBody):
    """What the nodes of one superstep returned."""

    updates: list[SuperstepUpdate] = Field(min_length=1, max_length=MAX_SUPERSTEPS)


class ThreadCreate(LangGraphBody):
    """A new thread. `supersteps` make the state it begins with, of the graph that `graph_id` or its metadata names."""

    thread_id: ThreadName | None = None
    metadata: Object | None = None
    graph_id: Name | None = None
    if_exists: Literal["raise", "do_nothing"] = "raise"
    ttl: ThreadTtl | None = None
    supersteps: list[Superstep] | None = Field(default=None, max_length=MAX_SUPERSTEPS)

    @model_validator(mode="after")
    def _bounded(self) -> "ThreadCreate":
        if sum(len(step.updates) for step in self.supersteps or ()) > MAX_SUPERSTEPS:
            raise ValueError(f"`supersteps` must have at most {MAX_SUPERSTEPS} updates together")
        return self

    @property
    def all_metadata(self) -> dict[str, Any]:
        """The metadata, with the graph in it."""
        return {**(self.metadata or {}), **({"graph_id": self.graph_id} if self.graph_id else {})}


class ThreadPatch(LangGraphBody):
    """Keys to merge into a thread's metadata, and how long it is kept."""

    metadata: Object = Field(default_factory=dict)
    ttl: ThreadTtl | None = None


class ThreadCount(LangGraphBody):
    """Which threads to count."""

    metadata: Contained | None = None
    values: Contained | None = None
    status: ThreadStatus | None = None


class ThreadSearch(ThreadCount):
    """Which threads to list."""

    ids: list[ThreadName] | None = Field(default=None, max_length=MAX_IDS)
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, lt=2**63)
    sort_by: SortBy | None = None
    sort_order: SortOrder | None = None
    select: list[ThreadField] | None = Field(default=None, max_length=100)
    extract: dict[str, str] | None = Field(default=None, max_length=MAX_PATHS)

    @field_validator("extract")
    @classmethod
    def _can_be_extracted(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if value:
            Extract(value)
        return value


class ThreadPrune(LangGraphBody):
    """Which threads to forget, or to reduce to their newest checkpoint."""

    thread_ids: list[ThreadName] = Field(max_length=MAX_IDS)
    strategy: TtlStrategy = "delete"


@dataclass
class Interrupt:
    """A question that a graph asks; `id` names it in an answer."""

    __pydantic_config__ = things.example(id=things.QUESTION, value={"question": "Refund 40 EUR?"})

    id: str
    value: Any


@dataclass
class Failure:
    """What went wrong in a graph: the exception's type, and its message."""

    error: str | None
    message: str | None

    @classmethod
    def of(cls, error: dict[str, Any] | None) -> Self | None:
        """What everybody may know of an error who may know of its run."""
        return None if error is None else cls(error.get("error"), error.get("message"))


@dataclass
class Ttl:
    """How long a thread is kept."""

    strategy: Literal["delete", "keep_latest"]
    ttl_minutes: float
    expires_at: datetime

    @classmethod
    def of(cls, thread: rows.Thread, default: timedelta | None) -> Self | None:
        """None: the thread is kept for ever. `default`: how long those are that say nothing."""
        ttl = thread.ttl or (rows.Ttl(default / timedelta(minutes=1)) if default else None)
        if ttl is None:
            return None
        return cls(ttl.strategy, ttl.minutes, thread.updated_at + timedelta(minutes=ttl.minutes))


@with_config(
    things.example(
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
)
class Thread(TypedDict):
    """A conversation: its values are those of its last finished run. `interrupts`: its questions, by task."""

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
    ttl: NotRequired[Ttl | None]


def thread_answer(thread: rows.Thread) -> Thread:
    """What is told of a row."""
    interrupts: dict[str, list[Interrupt]] = {}
    for entry in thread.interrupts:
        interrupts.setdefault(entry.task_id, []).append(Interrupt(entry.id, entry.value))
    return {
        "thread_id": thread.thread_id,
        "name": thread.name,
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "state_updated_at": thread.state_updated_at,
        "metadata": thread.metadata,
        "status": thread.status,
        "config": thread.config,
        "values": thread.values,
        "interrupts": interrupts,
        "error": Failure.of(thread.error),
    }


@dataclass
class Storage:
    """What a thread takes in the database, as stored. Not `complete`: it has more, of which this was looked at."""

    __pydantic_config__ = things.example(checkpoints=4, state_bytes=5120, events=12, event_bytes=2048, complete=True)

    checkpoints: int
    state_bytes: int
    events: int
    event_bytes: int
    complete: bool


@dataclass
class Pruned:
    """How many threads were pruned."""

    __pydantic_config__ = things.example(pruned_count=1)

    pruned_count: int
