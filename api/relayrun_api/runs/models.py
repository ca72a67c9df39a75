"""Bodies that start or cancel runs, as the LangGraph SDKs send them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, Self, get_args
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict

from relayrun_api.http import examples as things
from relayrun_api.http.models import Config, LangGraphBody, Name, Object
from relayrun_api.threads.models import RunCommand
from relayrun_api.webhooks.rules import webhook_url
from relayrun_core import runs
from relayrun_core.ids import uuid_of
from relayrun_core.runs import Durability, MultitaskStrategy, RunSpec, StreamMode
from relayrun_core.states import RunStatus

#: A hundred years.
LONGEST_DELAY_SECONDS = 100 * 365 * 86400
LARGEST_BATCH = 100
_MOST_RUN_IDS = 1000
_DEEPEST = 100
#: What is neither means what it means not to say it.
OnDisconnect = Annotated[
    Literal["cancel", "continue"], BeforeValidator(lambda value: value if value == "cancel" else "continue")
]
OnCompletion = Annotated[
    Literal["delete", "keep"] | None, BeforeValidator(lambda value: value if value in ("delete", "keep") else None)
]
Nodes = Annotated[list[Name], Field(max_length=1000)] | Literal["*"]


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
            raise ValueError("`lifecycle` is a channel of a thread's event stream: subscribe to it there")
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
            raise ValueError("an answer cannot be given later, because the question may change: leave out one")
        return self

    @field_validator("checkpoint_id")
    @classmethod
    def _is_uuid(cls, value: str | None) -> str | None:
        if value is not None and uuid_of(value) is None:
            raise ValueError("it is not the id of a checkpoint, which is a UUID")
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


AgentServerStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]


@dataclass
class RunKwargs:
    """What a run was started with."""

    input: Any
    command: dict[str, Any] | None
    config: dict[str, Any]
    context: dict[str, Any]
    stream_mode: list[str]
    interrupt_before: list[str] | Literal["*"] | None
    interrupt_after: list[str] | Literal["*"] | None
    webhook: str | None
    feedback_keys: None
    temporary: bool
    subgraphs: bool
    resumable: bool
    checkpoint_during: bool
    durability: Durability | None

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """The same in the words of the Agent Server."""
        return cls(
            input=spec.input,
            command=spec.command,
            config=spec.config,
            context=spec.context or {},
            stream_mode=spec.stream_modes,
            interrupt_before=spec.interrupt_before,
            interrupt_after=spec.interrupt_after,
            webhook=spec.webhook,
            feedback_keys=None,
            temporary=spec.on_completion == "delete",
            subgraphs=spec.stream_subgraphs,
            resumable=True,
            checkpoint_during=spec.durability != "exit",
            durability=spec.durability,
        )


@dataclass
class Run:
    """One execution of a graph on a thread. `attempt`: which try of it is under way; `number`: of the thread's runs."""

    __pydantic_config__ = things.example(
        run_id=things.RUN,
        thread_id=things.THREAD,
        assistant_id=things.ASSISTANT,
        created_at=things.BEGAN,
        updated_at=things.ENDED,
        status="success",
        metadata={"graph_id": "agent", "assistant_id": things.ASSISTANT},
        kwargs={
            "input": things.ASKED,
            "command": None,
            "config": {},
            "context": {},
            "stream_mode": ["values"],
            "interrupt_before": None,
            "interrupt_after": None,
            "webhook": None,
            "feedback_keys": None,
            "temporary": False,
            "subgraphs": False,
            "resumable": True,
            "checkpoint_during": True,
            "durability": "sync",
        },
        multitask_strategy="enqueue",
        cancel_reason=None,
        agent="default",
        graph="agent",
        number=2,
        attempt=1,
        runner="default-6f9c-0",
        reason=None,
        message=None,
        error=None,
        checkpoint_id=things.CHECKPOINT,
        started_at=things.BEGAN,
        finished_at=things.ENDED,
    )

    run_id: UUID
    thread_id: UUID
    # The API starts no run without one.
    assistant_id: Annotated[UUID | None, WithJsonSchema({"type": "string", "format": "uuid"})]
    created_at: datetime
    updated_at: datetime
    status: AgentServerStatus
    metadata: dict[str, Any]
    kwargs: RunKwargs
    multitask_strategy: MultitaskStrategy
    cancel_reason: str | None
    agent: str
    graph: str
    number: int
    attempt: int
    runner: str | None
    reason: str | None
    message: str | None
    error: dict[str, Any] | None
    checkpoint_id: str | None
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, run: runs.Run, *, tracebacks: bool) -> Self:
        """What is told of a row; what the Agent Server does not know stands behind what it does.

        `tracebacks`: whether whoever asks may see the author's code and paths: an admin.
        """
        return cls(
            run_id=run.run_id,
            thread_id=run.thread_id,
            assistant_id=run.assistant_id,
            created_at=run.created_at,
            updated_at=run.updated_at,
            status=_STATUSES[run.status],
            metadata=run.spec.metadata,
            kwargs=RunKwargs.of(run.spec),
            multitask_strategy=run.spec.multitask_strategy,
            cancel_reason=run.message if run.status is RunStatus.CANCELLED else None,
            agent=run.agent,
            graph=run.graph,
            number=run.number,
            attempt=run.attempt,
            runner=run.runner,
            reason=run.reason,
            message=run.message,
            error=run.error if tracebacks else _without_traceback(run.error),
            checkpoint_id=run.checkpoint_id,
            started_at=run.started_at,
            finished_at=run.finished_at,
        )


class Values(BaseModel):
    """A run's final values: whatever the graph's state holds. `__interrupt__`: its questions, where it asks some;
    `__error__` alone: what went wrong.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [things.ANSWERED]})


@with_config(things.example(run_id=things.RUN, thread_id=things.NAME))
class Cancelling(TypedDict):
    """The run that is being cancelled; an empty object where its end was waited for."""

    run_id: NotRequired[UUID | None]
    thread_id: NotRequired[str | None]


#: Our run states in the Agent Server's words, which has none for cancelled and delayed. A run that waits for an answer
#: has succeeded in asking.
_STATUSES: Mapping[RunStatus, AgentServerStatus] = {
    RunStatus.DELAYED: "pending",
    RunStatus.PENDING: "pending",
    RunStatus.RUNNING: "running",
    RunStatus.SUCCESS: "success",
    RunStatus.INTERRUPTED: "success",
    RunStatus.ERROR: "error",
    RunStatus.TIMEOUT: "timeout",
    RunStatus.CANCELLED: "interrupted",
}


def our_statuses(status: str) -> list[RunStatus]:
    """The run states that the Agent Server calls `status`."""
    return [ours for ours, theirs in _STATUSES.items() if theirs == status]


def _without_traceback(error: dict[str, Any] | None) -> dict[str, Any] | None:
    return error and {name: value for name, value in error.items() if name != "traceback"}
