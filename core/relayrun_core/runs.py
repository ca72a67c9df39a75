"""A run as its parts see it: what was asked (`RunSpec`), what the database knows (`Run`, `RunHead`), how it ended
(`Outcome`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from relayrun_core.states import CancelAction, Reason, RunStatus

Durability = Literal["sync", "async", "exit"]
MultitaskStrategy = Literal["enqueue", "reject", "interrupt", "rollback"]

#: What a run can be asked to tell.
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
]
DEFAULT_STREAM_MODES: tuple[StreamMode, ...] = ("values", "updates", "messages-tuple", "custom")


# Who a run is for: graphs find that in `configurable` under these names, traces in metadata; only the server says it.
_CLAIMS = "langgraph_auth_"


def without_claims(given: Mapping[str, Any]) -> dict[str, Any]:
    """A caller's `configurable`, context or metadata, without what it says of who it is."""
    return {name: value for name, value in given.items() if not name.startswith(_CLAIMS)}


class BoundAnswer(BaseModel):
    """A `resume` value, bound to one question when it was accepted, so that no retry can answer another one.

    `answered` is how many answers the task had recorded then: it is sent again only while that number is the same.
    """

    model_config = ConfigDict(extra="forbid")

    interrupt_id: str
    value: Any = None
    task_id: str
    answered: int = 0


class RunSpec(BaseModel):
    """What a run was asked to do: stored as it is, opaque values untouched."""

    # A newer API may have accepted it: a runner of an older version does what it knows.
    model_config = ConfigDict(extra="ignore")

    input: Any = None
    command: dict[str, Any] | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    #: What of the config's `configurable` is the assistant's.
    assistant_configurable: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    stream_modes: list[str] = Field(default_factory=lambda: list[str](DEFAULT_STREAM_MODES))
    stream_subgraphs: bool = False
    interrupt_before: list[str] | Literal["*"] | None = None
    interrupt_after: list[str] | Literal["*"] | None = None
    checkpoint_id: str | None = None
    #: From a subgraph's: those of all graphs around it, by their namespaces.
    checkpoint_map: dict[str, str] = Field(default_factory=dict)
    durability: Durability = "sync"
    multitask_strategy: MultitaskStrategy = "enqueue"
    active_deadline_seconds: int = 3600
    starting_deadline_seconds: int = 86400
    backoff_limit: int = 2
    #: `delete`: the run's thread was made for it alone, and goes some time after its end.
    on_completion: Literal["delete", "keep"] = "keep"
    #: Who is told of the run's end.
    webhook: str | None = None
    answers: list[BoundAnswer] = Field(default_factory=list)
    #: Whom the author's own authentication found, as JSON; for the graph alone, never shown.
    user: dict[str, Any] | None = None


@dataclass(frozen=True)
class ObjectRef:
    """An AgentRun in a cluster."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class NewRun:
    """What `create_run` needs."""

    run_id: UUID
    thread_id: UUID
    agent: str
    graph: str
    spec: RunSpec
    owner: str | None = None
    thread_name: str | None = None
    thread_metadata: dict[str, Any] = field(default_factory=dict)
    assistant_id: UUID | None = None
    if_not_exists: Literal["create", "reject"] = "create"
    #: It is accepted now, and joins its thread's line so much later.
    delay_seconds: float = 0.0
    #: New input on a thread that waits at an interrupt is refused instead of abandoning the question.
    require_not_interrupted: bool = False
    #: The AgentRun it came with, for a run by kubectl.
    object: ObjectRef | None = None


@dataclass(frozen=True)
class Run:
    """A row of `runs`."""

    run_id: UUID
    seq: int
    thread_id: UUID
    number: int
    owner: str | None
    agent: str
    graph: str
    assistant_id: UUID | None
    status: RunStatus
    reason: Reason | None
    message: str | None
    spec: RunSpec
    attempt: int
    holder: UUID | None
    runner: str | None
    progress: int
    failed_attempts: int
    suspect: bool
    not_before: datetime | None
    cancel_requested_at: datetime | None
    cancel_action: CancelAction | None
    #: What the thread had at the first claim: {checkpoint_id, high_water}, the newest ids of its root and of all of it.
    base: dict[str, str | None] | None
    error: dict[str, Any] | None
    checkpoint_id: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_rolled_back(self) -> bool:
        """Whether it was cancelled and all that it did undone: for clients there is no such run any more."""
        return self.status is RunStatus.CANCELLED and self.cancel_action is CancelAction.ROLLBACK

    def as_accepted(self) -> "Run":
        """It as it was accepted, whatever has become of it since."""
        if self.status in (RunStatus.DELAYED, RunStatus.PENDING):
            return self
        return replace(
            self,
            status=RunStatus.PENDING,
            reason=None,
            message=None,
            attempt=0,
            holder=None,
            runner=None,
            progress=0,
            failed_attempts=0,
            base=None,
            error=None,
            checkpoint_id=None,
            updated_at=self.created_at,
            started_at=None,
            finished_at=None,
        )


@dataclass(frozen=True)
class PendingInterrupt:
    """A question a thread waits at: `answered` counts the answers its task has recorded already."""

    id: str
    value: Any
    task_id: str
    answered: int = 0


#: Which of a state's values those are told who wait for a run: by their keys, or the one that is all they are told.
#: None: everything.
OutputKeys = list[str] | str | None


@dataclass(frozen=True)
class Head:
    """A thread's newest state as JSON, without its `values`. `made_by`: None where another might be made of the same
    checkpoint. `values`: the state's, where it tells them in another form than the run's outcome.
    """

    state: bytes
    made_by: str | None
    values: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `values`, `interrupts` None: the thread's stay as they are.

    `error` is `{"error": <exception type>, "message": …, "node": …, "traceback": …}`. `questions` are the interrupts as
    they are told, a JSON list; None: they have an id and a value.
    """

    reason: Reason
    message: str = ""
    values: bytes | None = None
    interrupts: tuple[PendingInterrupt, ...] | None = None
    error: dict[str, Any] | None = None
    checkpoint_id: str | None = None
    output_keys: OutputKeys = None
    questions: bytes | None = None
    head: Head | None = None

    @property
    def output(self) -> bytes | None:
        """The values as those are told who wait, as JSON; None: there are none of its own."""
        return None if self.values is None else output_of(self.values, self.output_keys)


def told(values: Any, keys: OutputKeys) -> Any:
    """The values as those are told who wait."""
    if keys is None or not isinstance(values, dict):
        return values
    return values.get(keys) if isinstance(keys, str) else {key: values[key] for key in keys if key in values}


def output_of(values: bytes, keys: OutputKeys) -> bytes:
    """The same for JSON."""
    return values if keys is None else orjson.dumps(told(orjson.loads(values), keys))


@dataclass(frozen=True, slots=True)
class RunHead:
    """What placing needs of a run. Times are seconds since the epoch.

    `cancel` is None unless a cancel was accepted; `active_deadline` is None until the run has started.
    """

    run_id: UUID
    seq: int
    thread_id: UUID
    agent: str
    graph: str
    status: RunStatus
    attempt: int
    holder: UUID | None
    runner: str | None
    failed_attempts: int
    suspect: bool
    not_before: float | None
    cancel: CancelAction | None
    active_deadline: float | None
    active_deadline_seconds: float
    starting_deadline: float
