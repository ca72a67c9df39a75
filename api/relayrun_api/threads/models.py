"""Bodies about threads, as the LangGraph SDKs send them."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from relayrun_api.http.bounds import Contained, Object
from relayrun_api.runs.models import LangGraphBody, Name, RunCommand
from relayrun_api.threads.extract import MAX_PATHS, Extract
from relayrun_core.db.rows import Ttl, TtlStrategy
from relayrun_core.db.thread_search import SortBy, SortOrder
from relayrun_core.settings import LONGEST_TTL_MINUTES
from relayrun_core.states import ThreadStatus

MAX_NAME = 256
MAX_IDS = 1000
#: Of one new thread; each becomes a checkpoint, in one transaction.
MAX_SUPERSTEPS = 1000
ThreadField = Literal[
    "thread_id",
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
#: Parts of a state to answer with: its members, or `values.<key>` for one of its values.
StateFields = Annotated[list[Name], Field(max_length=100)]


class ThreadTtl(LangGraphBody):
    """How long a thread is kept, in minutes from its last update on."""

    ttl: float = Field(gt=0, le=LONGEST_TTL_MINUTES)
    strategy: TtlStrategy = "delete"

    @property
    def given(self) -> Ttl:
        """The same for the database."""
        return Ttl(self.ttl, self.strategy)


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


class StateAt(LangGraphBody):
    """Which of a thread's states to get."""

    checkpoint: dict[str, Any]
    subgraphs: bool = False
    select: StateFields | None = None


class StateUpdate(LangGraphBody):
    """An edit of a thread's state."""

    values: dict[str, Any] | Annotated[list[Any], Field(max_length=10_000)] | None = None
    as_node: Name | None = None
    checkpoint: dict[str, Any] | None = None
    checkpoint_id: Name | None = None


class HistoryQuery(LangGraphBody):
    """Which of a thread's states to list."""

    limit: int = Field(default=1, ge=1, le=1000)
    before: Name | dict[str, Any] | None = None
    metadata: Contained | None = None
    checkpoint: dict[str, Any] | None = None
    select: StateFields | None = None
