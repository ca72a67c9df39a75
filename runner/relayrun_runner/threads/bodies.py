"""The bodies and queries of the routes for threads' states."""

from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ConfigDict, Field, field_validator

from relayrun_core.db.rows import TtlStrategy


class Place(BaseModel):
    """Which state is meant: the newest of the root graph unless said otherwise."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    graph: str | None = None
    checkpoint_id: str | None = None
    checkpoint_ns: str = ""

    @field_validator("graph", "checkpoint_id", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("checkpoint_ns", mode="before")
    @classmethod
    def _root_is_empty(cls, value: Any) -> Any:
        return value or ""

    def config(self, thread_id: UUID, **more: Any) -> RunnableConfig:
        """The LangGraph config that names it."""
        configurable: dict[str, Any] = {"thread_id": str(thread_id), "checkpoint_ns": self.checkpoint_ns, **more}
        if self.checkpoint_id is not None:
            # Its absence tells LangGraph to show what is going on now, and not a record of a step.
            configurable["checkpoint_id"] = self.checkpoint_id
        return {"configurable": configurable}


class StateQuestion(Place):
    """GET state."""

    subgraphs: bool = False
    #: Only those of its values that who waits for a run is told.
    output: bool = False


class HistoryQuestion(Place):
    """GET or POST history; `before` is a checkpoint id, or a config or checkpoint that has one.

    `select`: the parts of each state to tell, all unless said otherwise.
    """

    limit: int = Field(default=10, ge=1)
    before: str | None = None
    metadata: dict[str, Any] | None = None
    select: list[str] | None = None

    @field_validator("before", mode="before")
    @classmethod
    def _id_of(cls, value: Any) -> Any:
        if isinstance(value, dict):
            named = value.get("configurable") or value
            # Of what is no object nothing can be read: the member is refused as it came.
            value = named.get("checkpoint_id") if isinstance(named, dict) else value
        return value or None


class StateEdit(Place):
    """POST state: `values` as if `as_node` had returned them.

    `edit_id`: who asks again with the same one, because the first answer was lost, gets that answer and no second edit.
    """

    values: Any = None
    as_node: str | None = None
    edit_id: UUID | None = None


class SuperstepUpdate(BaseModel):
    """What one node of a superstep returned: `values`, or a command in their place."""

    model_config = ConfigDict(extra="ignore")

    values: Any = None
    command: dict[str, Any] | None = None
    as_node: str


class Superstep(BaseModel):
    """What the nodes of one superstep returned."""

    model_config = ConfigDict(extra="ignore")

    updates: list[SuperstepUpdate]


class ThreadInMaking(BaseModel):
    """POST thread: a new thread whose state the supersteps make."""

    model_config = ConfigDict(extra="ignore")

    graph: str
    supersteps: list[Superstep]
    owner: str | None = None
    name: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    ttl_minutes: float | None = None
    ttl_strategy: TtlStrategy = "delete"
