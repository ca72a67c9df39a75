"""A run: its request (`RunSpec`), its row (`Run`, or `RunHead` for placing) and its end (`Outcome`)."""

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

#: What a run can stream.
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


# Names of the authenticated user's claims: in `configurable` for graphs, in metadata for traces. Only the server sets
# them.
_CLAIMS = "langgraph_auth_"


def without_claims(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a caller's `configurable`, context or metadata without any claim about who the caller is."""
    return {name: value for name, value in given.items() if not name.startswith(_CLAIMS)}


class BoundAnswer(BaseModel):
    """A `resume` value, bound to one interrupt when it is accepted, so that no retry can answer another one.

    `answered` is how many answers the task had recorded at that time. The value is sent only while this is unchanged.
    """

    model_config = ConfigDict(extra="forbid")

    interrupt_id: str
    value: Any = None
    task_id: str
    answered: int = 0


class RunSpec(BaseModel):
    """What a run is asked to do. Stored as it is; opaque values stay untouched."""

    # A newer API may have accepted the run: an older runner ignores fields that it does not know.
    model_config = ConfigDict(extra="ignore")

    input: Any = None
    command: dict[str, Any] | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    #: The part of the config's `configurable` that comes from the assistant.
    assistant_configurable: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    stream_modes: list[str] = Field(default_factory=lambda: list[str](DEFAULT_STREAM_MODES))
    stream_subgraphs: bool = False
    interrupt_before: list[str] | Literal["*"] | None = None
    interrupt_after: list[str] | Literal["*"] | None = None
    checkpoint_id: str | None = None
    #: For a checkpoint of a subgraph: the checkpoints of all graphs around it, by namespace.
    checkpoint_map: dict[str, str] = Field(default_factory=dict)
    durability: Durability = "sync"
    multitask_strategy: MultitaskStrategy = "enqueue"
    active_deadline_seconds: int = 3600
    starting_deadline_seconds: int = 86400
    backoff_limit: int = 2
    #: `delete`: the thread was created for this run alone, and is deleted some time after the run's end.
    on_completion: Literal["delete", "keep"] = "keep"
    #: The URL that receives the run's end.
    webhook: str | None = None
    answers: list[BoundAnswer] = Field(default_factory=list)
    #: The user from the author's own authentication, as JSON. Only the graph sees it.
    user: dict[str, Any] | None = None


@dataclass(frozen=True)
class ObjectRef:
    """An AgentRun in a cluster."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class NewRun:
    """A run to be accepted: the argument of `create_run`."""

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
    #: The run is accepted now, and joins its thread's queue this much later.
    delay_seconds: float = 0.0
    #: Refuse new input on a thread that waits at an interrupt, in place of abandoning the question.
    require_not_interrupted: bool = False
    #: The AgentRun that requested the run, for a run by kubectl.
    object: ObjectRef | None = None
    #: Agents that share the graph's name. A thread that last ran on one of them stays there, whatever `agent` says.
    peers: tuple[str, ...] = ()


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
    #: The thread's newest checkpoints at the first claim: `checkpoint_id` of the root, `high_water` of all namespaces.
    base: dict[str, str | None] | None
    error: dict[str, Any] | None
    checkpoint_id: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    #: The template that its last runner was made from, in a cluster; before, that of its open thread.
    revision: str | None = None

    @property
    def is_rolled_back(self) -> bool:
        """Whether the run was cancelled and its work undone. For clients it no longer exists."""
        return self.status is RunStatus.CANCELLED and self.cancel_action is CancelAction.ROLLBACK

    def as_accepted(self) -> "Run":
        """Return the run as it was when it was accepted."""
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
    """An interrupt that a thread waits at. `answered` counts the answers that its task has recorded already."""

    id: str
    value: Any
    task_id: str
    answered: int = 0


#: Which values of the state are the run's output: those of a list of keys, the value of one key, or with None all.
OutputKeys = list[str] | str | None


@dataclass(frozen=True)
class Head:
    """A thread's newest state as JSON, without its `values`.

    `made_by` is None when another runner might make another state of the same checkpoint. `values` holds the state's
    values when they differ in form from those of the run's outcome.
    """

    state: bytes
    made_by: str | None
    values: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended. With `values` or `interrupts` None, those of the thread stay as they are.

    `error` is `{"error": <exception type>, "message": …, "node": …, "traceback": …}`. `questions` is a JSON list of the
    interrupts as clients see them; None when they have just an id and a value.
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
        """The run's output as JSON; None when the run has no values of its own."""
        return None if self.values is None else output_of(self.values, self.output_keys)


def select_output(values: Any, keys: OutputKeys) -> Any:
    """Return the output among a state's values."""
    if keys is None or not isinstance(values, dict):
        return values
    return values.get(keys) if isinstance(keys, str) else {key: values[key] for key in keys if key in values}


def output_of(values: bytes, keys: OutputKeys) -> bytes:
    """Return the output among a state's values, both as JSON."""
    return values if keys is None else orjson.dumps(select_output(orjson.loads(values), keys))


@dataclass(frozen=True, slots=True)
class RunHead:
    """The part of a run that placing needs. Times are seconds since the epoch.

    `cancel` is None unless a cancel was accepted. `active_deadline` is None until the run has started.
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
