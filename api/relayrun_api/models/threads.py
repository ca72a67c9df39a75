"""Bodies about threads, as the LangGraph SDKs send them."""

from typing import Any, Literal

from pydantic import Field

from relayrun_api.models.runs import LangGraphBody, Name
from relayrun_core.states import ThreadStatus

MAX_NAME = 256
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


class ThreadCreate(LangGraphBody):
    """A new thread."""

    thread_id: str | None = Field(default=None, min_length=1, max_length=MAX_NAME)
    metadata: dict[str, Any] | None = None
    if_exists: Literal["raise", "do_nothing"] = "raise"


class ThreadPatch(LangGraphBody):
    """Keys to merge into a thread's metadata."""

    metadata: dict[str, Any] = Field(default_factory=dict)


class ThreadSearch(LangGraphBody):
    """Which threads to list."""

    metadata: dict[str, Any] | None = None
    values: dict[str, Any] | None = None
    ids: list[str] | None = Field(default=None, max_length=1000)
    status: ThreadStatus | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, lt=2**63)
    select: list[ThreadField] | None = None


class StateAt(LangGraphBody):
    """Which of a thread's states to get."""

    checkpoint: dict[str, Any]
    subgraphs: bool = False


class StateUpdate(LangGraphBody):
    """An edit of a thread's state."""

    values: Any = None
    as_node: Name | None = None
    checkpoint: dict[str, Any] | None = None
    checkpoint_id: Name | None = None


class HistoryQuery(LangGraphBody):
    """Which of a thread's states to list."""

    limit: int = Field(default=10, ge=1, le=1000)
    before: str | dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    checkpoint: dict[str, Any] | None = None
