"""Bodies that start or cancel runs, as the LangGraph SDKs send them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from relayrun_core.runs import Durability, MultitaskStrategy

StreamMode = Literal[
    "values",
    "updates",
    "messages-tuple",
    "custom",
    "debug",
    "tasks",
    "checkpoints",
    "messages",
    "events",
    "tools",
    "lifecycle",
]
_LATER = frozenset(("tools", "lifecycle"))
_LONGEST_NAME = 256
Name = Annotated[str, Field(max_length=_LONGEST_NAME)]
Nodes = Annotated[list[Name], Field(max_length=1000)] | Literal["*"]


class LangGraphBody(BaseModel):
    """A body of the Agent Server's API. Unknown members are ignored: clients are older and newer than we are."""

    model_config = ConfigDict(extra="ignore")


class Command(LangGraphBody):
    """What to do beside running on: answer an interrupt, change the state, go to a node."""

    resume: Any = None
    update: Any = None
    goto: Any = None


class RunConfig(LangGraphBody):
    """LangGraph's configuration of a run, as far as a wrong one would only fail in a runner; the rest is passed on."""

    model_config = ConfigDict(extra="allow")

    tags: list[Name] | None = None
    metadata: dict[str, Any] | None = None
    configurable: dict[str, Any] | None = None
    recursion_limit: int | None = Field(default=None, ge=1, le=1_000_000)
    max_concurrency: int | None = Field(default=None, ge=1, le=1_000_000)

    @property
    def given(self) -> dict[str, Any]:
        """What was given, as a plain dictionary."""
        return {name: value for name, value in self if value is not None}


class RunCreate(LangGraphBody):
    """A run on a thread."""

    assistant_id: Name
    input: Any = None
    command: Command | None = None
    config: RunConfig | None = None
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    stream_mode: list[StreamMode] = Field(default=["values"], min_length=1, max_length=100)
    stream_subgraphs: bool = False
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    checkpoint: dict[str, Any] | None = None
    checkpoint_id: Name | None = None
    checkpoint_during: bool | None = None
    durability: Durability | None = None
    multitask_strategy: MultitaskStrategy = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] | None = None
    webhook: None = None
    after_seconds: None = None

    @field_validator("stream_mode", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("stream_mode")
    @classmethod
    def _offered(cls, value: list[StreamMode]) -> list[StreamMode]:
        if later := _LATER.intersection(value):
            raise ValueError(f"stream mode {min(later)} is not offered yet; use messages-tuple, values or updates")
        return value

    @field_validator("webhook", "after_seconds", mode="before")
    @classmethod
    def _not_yet(cls, value: Any) -> Any:
        # Refused rather than ignored: a client would wait for a call that never comes.
        if value is not None:
            raise ValueError("not offered yet: leave it out")
        return value

    @model_validator(mode="after")
    def _one_namespace(self) -> "RunCreate":
        if self.checkpoint and self.checkpoint.get("checkpoint_ns"):
            raise ValueError("`checkpoint` must be one of the root graph: leave out `checkpoint_ns`")
        return self

    @property
    def from_checkpoint(self) -> str | None:
        """The checkpoint to start from, by whichever member it was named."""
        named = (self.checkpoint or {}).get("checkpoint_id")
        return self.checkpoint_id or (named if isinstance(named, str) else None)

    @property
    def chosen_durability(self) -> Durability | None:
        """None: the agent's. `checkpoint_during: false` is the older word for `exit`."""
        if self.durability is not None:
            return self.durability
        return "exit" if self.checkpoint_during is False else None
