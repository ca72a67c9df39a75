"""The protocol between operator and runner: states, bodies and refusals, for both sides and for tests.

```
 PUT    /runs/{run}          AssignRequest ─▶ Accepted 202 · AlreadyFinished 200 · a Refusal 404, 409 · Unavailable 503
 DELETE /runs/{run}?attempt&action=StopAction ─▶ 202 · NotFound 404
 POST   /runs/{run}/finish   FinishRequest ─▶ AlreadyFinished 200 · NotFound 404
 POST   /runs/{run}/known    KnownRequest ─▶ KnownBody 200
 GET    /runs?watch=1        ─▶ a ListLine, then RunLines and HeartbeatLines, as NDJSON
 GET    /readyz              ─▶ ReadinessBody 200, 503
```
Both sides ignore members that they do not know, because the other one may be newer.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, TypeAdapter, model_serializer

from relayrun_core.runs import ObjectRef, RunSpec
from relayrun_core.states import CancelAction, Reason, RunStatus

#: The subject of a runner's trouble while it loads its graphs: this is no fault.
STARTING = "start"


class AttemptState(StrEnum):
    """The state of an attempt on a runner. `Claiming`: its PUT is not answered yet; streams never report it."""

    CLAIMING = "Claiming"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    FINISHED = "Finished"
    #: Given back between two steps: it goes on elsewhere.
    DRAINED = "Drained"
    #: Stopped without touching its row: another attempt has the run.
    ABANDONED = "Abandoned"

    @property
    def holds(self) -> bool:
        """Whether the attempt occupies a slot and may still write."""
        return self in (AttemptState.CLAIMING, AttemptState.RUNNING, AttemptState.CANCELLING)


class StopAction(StrEnum):
    """How an attempt is stopped: its run is cancelled, or the attempt is abandoned and its run left alone."""

    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"
    ABANDON = "abandon"

    @property
    def cancel(self) -> CancelAction | None:
        """What becomes of the run; None: it goes on elsewhere."""
        return None if self is StopAction.ABANDON else CancelAction(self.value)


T = TypeVar("T")


def _parse(validate: Callable[[Any], T], validate_json: Callable[[bytes], T], body: bytes) -> T:
    # pydantic's own reader refuses more than 200 levels, which an author's input and output may have.
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return validate_json(body)  # says what is wrong
    return validate(given)


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """The body that was sent. Raises pydantic.ValidationError for one that this version does not know."""
        return _parse(cls.model_validate, cls.model_validate_json, body)


# Requests


class NewRunBody(_Body):
    """Thread and payload of a run that came with its AgentRun, and is in no database yet.

    `spec_hash` tells the AgentRun from others of its name: one that was there before is not executed again.
    """

    thread_id: UUID
    thread_name: str | None = None
    owner: str | None = None
    agent: str
    spec: RunSpec
    object: ObjectRef | None = None
    spec_hash: str | None = None


class AssignRequest(_Body):
    """Take an attempt. `graph` spares a query where the caller knows it; `alone` asks for the whole runner.

    `excused`: the end of the attempt before was not the run's fault. `pinned`: a run that began under another revision
    is refused.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    attempt: int = Field(ge=1, le=2**31 - 1)
    excused: bool = False
    alone: bool = False
    pinned: bool = False
    graph: str | None = None
    create: NewRunBody | None = None


class FinishRequest(_Body):
    """End a run from outside, for a world that has no database.

    `object`, `spec_hash`: of an AgentRun that is cancelled before any runner had it. It is not executed later either.
    """

    reason: Reason
    message: str = ""
    object: ObjectRef | None = None
    spec_hash: str | None = None


class KnownRequest(_Body):
    """Was an AgentRun of this name and spec there before?"""

    object: ObjectRef
    spec_hash: str


# Answers


class KnownBody(_Body):
    """Whether it was."""

    known: bool


class OutcomeBody(_Body):
    """How a run ended. `output`: of a run that came with its AgentRun, when it is small; else `output_bytes` says how
    large it is.
    """

    status: RunStatus
    reason: Reason | None = None
    message: str = ""
    output: Any = None
    output_bytes: int | None = None

    @model_serializer(mode="wrap")
    def _without_missing_output(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        body: dict[str, Any] = serialize(self)
        if self.output is None:
            del body["output"]
        return body


class Accepted(_Body):
    """The claim committed: the runner executes the attempt. `started_at`: of its first attempt, in Unix seconds."""

    http_status: ClassVar[int] = 202
    run_id: str
    attempt: int
    thread_id: str | None = None
    started_at: float | None = None
    failed_attempts: int | None = None


class EarlierRun(_Body):
    """The run of an AgentRun that had the same name and spec. Times are Unix seconds.

    `continued`: a later run of its thread has begun.
    """

    run_id: str
    started_at: float | None = None
    finished_at: float | None = None
    continued: bool = False


class AlreadyFinished(_Body):
    """The run has ended, for good. `attempt` is its last one, None where that is the one that was asked for.

    `earlier`: it is the end of that run, in place of the one that was asked for, which is not executed.
    """

    http_status: ClassVar[int] = 200
    finished: Literal[True] = True
    thread_id: str | None = None
    attempt: int | None = None
    failed_attempts: int | None = None
    outcome: OutcomeBody
    earlier: EarlierRun | None = None


class _Refusal(_Body):
    http_status: ClassVar[int] = 409


class Full(_Refusal):
    """Every slot is taken."""

    reason: Literal["Full"] = "Full"


class Draining(_Refusal):
    """The runner takes nothing any more."""

    reason: Literal["Draining"] = "Draining"


class BackOff(_Refusal):
    """The last attempt made no progress: the next one may start in so many seconds, alone if the run is suspect."""

    reason: Literal["BackOff"] = "BackOff"
    seconds: float
    suspect: bool
    attempt: int


class Stale(_Refusal):
    """The run has a newer attempt."""

    reason: Literal["Stale"] = "Stale"
    attempt: int


class ThreadBusy(_Refusal):
    """Another run of the same thread comes first."""

    reason: Literal["ThreadBusy"] = "ThreadBusy"
    by: str


class WrongRevision(_Refusal):
    """The run, or its open thread, began under another revision of the agent."""

    reason: Literal["WrongRevision"] = "WrongRevision"
    revision: str


class NotFound(_Refusal):
    """The database has no such run; the runner has no such attempt."""

    http_status: ClassVar[int] = 404
    reason: Literal["NotFound"] = "NotFound"


class UnknownGraph(_Refusal):
    """The runner has no graph of this name."""

    reason: Literal["UnknownGraph"] = "UnknownGraph"
    graph: str


class Invalid(_Refusal):
    """The run cannot be executed, here or elsewhere."""

    reason: Literal["Invalid"] = "Invalid"
    message: str


class Unavailable(_Body):
    """The runner cannot answer now: ask again."""

    http_status: ClassVar[int] = 503
    reason: Literal["NotReady", "DatabaseAway"]


Refusal = Full | Draining | BackOff | Stale | ThreadBusy | WrongRevision | NotFound | UnknownGraph | Invalid
AssignAnswer = Accepted | AlreadyFinished | Refusal

_REFUSAL: TypeAdapter[Refusal] = TypeAdapter(Annotated[Refusal, Field(discriminator="reason")])


def parse_refusal(body: bytes) -> Refusal:
    """The refusal of a PUT. Raises pydantic.ValidationError for one that this version does not know."""
    return _parse(_REFUSAL.validate_python, _REFUSAL.validate_json, body)


# The watch stream


class RunReport(_Body):
    """One attempt on a runner. Times are Unix seconds."""

    run_id: str
    attempt: int
    state: AttemptState
    thread_id: str | None = None
    graph: str | None = None
    started_at: float | None = None
    failed_attempts: int = 0
    outcome: OutcomeBody | None = None


class RunLine(RunReport):
    """An attempt has changed."""

    type: Literal["run"] = "run"


class HeartbeatLine(_Body):
    """The runner lives. `lag_ms`: how late its graphs' event loop is."""

    type: Literal["heartbeat"] = "heartbeat"
    lag_ms: float = 0.0
    draining: bool = False


class ListLine(_Body):
    """All attempts of a runner. It has none that the list does not name.

    `holder` is the UUID of its process; `deaths` counts how those before it in its pod ended, by reason.
    """

    type: Literal["list"] = "list"
    holder: str
    slots: int
    runner: str = ""
    agent: str = ""
    build: str = ""
    pid: int = 0
    deaths: dict[str, int] = Field(default_factory=dict)
    draining: bool = False
    lag_ms: float = 0.0
    graphs: list[str] = Field(default_factory=list)
    runs: list[RunReport] = Field(default_factory=list)


Line = ListLine | RunLine | HeartbeatLine

_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="type")])


def parse_line(line: bytes) -> Line:
    """A line of the watch stream. Raises pydantic.ValidationError for one that this version does not know."""
    return _parse(_LINE.validate_python, _LINE.validate_json, line)


# Readiness


class Trouble(_Body):
    """One reason for not being ready. `traceback` is the author's, where their code failed.

    `waiting`: nothing failed. The runner goes on by itself when something else has happened.
    """

    subject: str
    message: str
    traceback: str | None = None
    waiting: bool = False


class ReadinessBody(_Body):
    """Whether a runner takes runs, and if not, why; the reasons are for callers with the runners' token."""

    ready: bool
    draining: bool = False
    reasons: list[Trouble] = Field(default_factory=list)
    graphs: list[str] = Field(default_factory=list)
