"""Bodies that start or cancel runs, as the LangGraph SDKs send them."""

from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import httpx
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from relayrun_api.http.bounds import Object, bounded
from relayrun_core.ids import uuid_of
from relayrun_core.runs import Durability, MultitaskStrategy, StreamMode

_LONGEST_NAME = 256
#: A hundred years.
LONGEST_DELAY_SECONDS = 100 * 365 * 86400
LARGEST_BATCH = 100
_LONGEST_URL = 2048
_MOST_RUN_IDS = 1000
_MOST_TAGS = 1000
_DEEPEST = 100
Name = Annotated[str, Field(max_length=_LONGEST_NAME)]
#: What is neither means what it means not to say it.
OnDisconnect = Annotated[
    Literal["cancel", "continue"], BeforeValidator(lambda value: value if value == "cancel" else "continue")
]
OnCompletion = Annotated[
    Literal["delete", "keep"] | None, BeforeValidator(lambda value: value if value in ("delete", "keep") else None)
]
Nodes = Annotated[list[Name], Field(max_length=1000)] | Literal["*"]


class LangGraphBody(BaseModel):
    """A body of the Agent Server's API. Unknown members are ignored: clients are older and newer than we are."""

    model_config = ConfigDict(extra="ignore")


class RunCommand(LangGraphBody):
    """What to do beside running on: answer an interrupt, change the state, go to a node."""

    resume: Any = None
    update: Any = None
    goto: Any = None


class RunConfig(LangGraphBody):
    """LangGraph's configuration of a run, as far as a wrong one would only fail in a runner; the rest is passed on."""

    model_config = ConfigDict(extra="allow")

    tags: list[Name] | None = Field(default=None, max_length=_MOST_TAGS)
    metadata: dict[str, Any] | None = None
    configurable: dict[str, Any] | None = None
    recursion_limit: int | None = Field(default=None, ge=1, le=1_000_000)
    max_concurrency: int | None = Field(default=None, ge=1, le=1_000_000)

    @property
    def given(self) -> dict[str, Any]:
        """What was given, as a plain dictionary."""
        return {name: value for name, value in self if value is not None}


def _bounded(config: RunConfig) -> RunConfig:
    bounded(config.given)
    return config


#: A configuration that may be kept with a thing.
Config = Annotated[RunConfig, AfterValidator(_bounded)]


class RunCreate(LangGraphBody):
    """A run on a thread."""

    assistant_id: Name
    input: Any = None
    command: RunCommand | None = None
    config: Config | None = None
    context: Object | None = None
    metadata: Object | None = None
    stream_mode: list[StreamMode] = Field(default=["values"], max_length=100)
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
    on_completion: OnCompletion = None
    webhook: str | None = None
    #: Less than 0: now.
    after_seconds: float | None = Field(default=None, strict=True, le=LONGEST_DELAY_SECONDS)

    @field_validator("stream_mode", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        modes = [value] if isinstance(value, str) else value
        if isinstance(modes, list) and "lifecycle" in modes:
            raise ValueError("`lifecycle` is told by a thread's event stream: subscribe to its channel of that name")
        # useStream sends an empty list when a page listens to nothing in particular; null is refused.
        return ["values"] if modes == [] else modes

    @field_validator("webhook")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None:
            webhook_url(value)
        return value

    @model_validator(mode="after")
    def _maps_checkpoints(self) -> "RunCreate":
        given = (self.checkpoint or {}).get("checkpoint_map")
        if given is not None and not (
            isinstance(given, dict) and len(given) <= _DEEPEST and all(isinstance(each, str) for each in given.values())
        ):
            raise ValueError(f"`checkpoint_map` must name a checkpoint for each of at most {_DEEPEST} namespaces")
        return self

    @model_validator(mode="after")
    def _answers_now(self) -> "RunCreate":
        if (self.after_seconds or 0) > 0 and self.command is not None and self.command.resume is not None:
            raise ValueError("an answer is given now, not later, when something else may be asked: leave out one")
        return self

    @field_validator("checkpoint_id")
    @classmethod
    def _is_uuid(cls, value: str | None) -> str | None:
        if value is not None and uuid_of(value) is None:
            raise ValueError("it is no checkpoint's id, which is a UUID")
        return value

    @property
    def from_checkpoint(self) -> str | None:
        """The root graph's checkpoint to start from, by whichever member it was named.

        With a subgraph's it is the one around it, which only its `checkpoint_map` names: LangGraph goes on where the
        thread is without.
        """
        if "" in self.checkpoint_map:
            return self.checkpoint_map[""]
        configurable = (self.config.configurable if self.config else None) or {}
        places = [named for named in (self.checkpoint or {}, configurable) if not named.get("checkpoint_ns")]
        ids = (self.checkpoint_id, *(named.get("checkpoint_id") for named in places))
        return next((named for named in ids if named and isinstance(named, str)), None)

    @property
    def checkpoint_map(self) -> dict[str, str]:
        """The checkpoints to start from by the namespaces of their graphs; empty for one of the root graph alone."""
        return (self.checkpoint or {}).get("checkpoint_map") or {}

    @property
    def chosen_durability(self) -> Durability | None:
        """None: the agent's. `checkpoint_during: false` is the older word for `exit`."""
        if self.durability is not None:
            return self.durability
        return "exit" if self.checkpoint_during is False else None


class StatelessRun(RunCreate):
    """A run without a thread, on which it could meet no other: a strategy of none means nothing."""

    on_completion: Literal["delete", "keep"] | None = None

    @field_validator("multitask_strategy", mode="before")
    @classmethod
    def _means_nothing(cls, value: Any) -> Any:
        return value if value in get_args(MultitaskStrategy) else "enqueue"


class BackgroundRun(RunCreate):
    """A run on a thread for which no connection waits."""

    on_disconnect: OnDisconnect = "continue"


class StatelessBackgroundRun(StatelessRun):
    """A run without a thread for which no connection waits."""

    on_disconnect: OnDisconnect = "continue"


class BatchRun(StatelessRun):
    """One run of a batch, on a thread of its own."""


Batch = Annotated[list[BatchRun], Field(min_length=1, max_length=LARGEST_BATCH)]


class CancelMany(LangGraphBody):
    """Which runs to cancel: those of a status, or some of a thread."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: Name | None = None
    run_ids: Annotated[list[UUID], Field(max_length=_MOST_RUN_IDS)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "CancelMany":
        named = (self.thread_id is not None, self.run_ids is not None)
        if (named == (True, True) and self.status is None) or (named == (False, False) and self.status is not None):
            return self
        raise ValueError("send either `status`, or `thread_id` and `run_ids`")


def webhook_url(text: str) -> httpx.URL:
    """The URL of a receiver. Raises ValueError for what cannot be one, wherever it leads."""
    if len(text) > _LONGEST_URL:
        raise ValueError(f"it is longer than {_LONGEST_URL} characters")
    if any(character.isspace() for character in text):
        raise ValueError("it must not have spaces")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError("it is not a URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("it must be a whole URL: https://host/path")
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError("its port must be between 1 and 65535")
    if url.userinfo:
        raise ValueError("it must not have a user or password: put a token into its path or query")
    try:
        url.raw_host.decode().encode("idna")  # as it is looked up
    except UnicodeError as error:
        raise ValueError("its host is no name that can be looked up") from error
    return url
