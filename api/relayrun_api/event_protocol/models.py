"""Bodies and commands of the event protocol (the package `langchain-protocol` has their types)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import BaseModel, Field, StrictInt, ValidationError, field_validator, model_validator, with_config
from typing_extensions import TypedDict

from relayrun_api.event_protocol.events import CHANNELS, NAMED_CUSTOM, ChannelFilter, Subscribed
from relayrun_api.event_protocol.seq import LARGEST_SEQ
from relayrun_api.http import examples as things
from relayrun_api.http.models import Config, LangGraphBody, Name, Object
from relayrun_core.runs import Durability, MultitaskStrategy

Segment = Annotated[str, Field(max_length=512)]
Namespace = Annotated[list[Segment], Field(max_length=64)]
Interrupt = Annotated[str, Field(min_length=1, max_length=256)]
_OTHER_SPELLING = "multitaskStrategy"


class EventStreamRequest(LangGraphBody):
    """Which events of a thread to stream."""

    channels: list[Name] = Field(min_length=1, max_length=100)
    namespaces: list[Namespace] | None = Field(default=None, max_length=100)
    depth: int | None = Field(default=None, ge=0, le=1000)
    since: StrictInt | None = Field(default=None, ge=0, le=LARGEST_SEQ)

    @field_validator("channels")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in CHANNELS and not (name.startswith(NAMED_CUSTOM) and name != NAMED_CUSTOM):
                raise ValueError(f"there is no channel {name!r}; use {', '.join(CHANNELS)} or custom:<name>")
        return value

    @property
    def subscribed(self) -> Subscribed:
        """What it asks for."""
        namespaces = tuple(tuple(namespace) for namespace in self.namespaces or ())
        return Subscribed(ChannelFilter(frozenset(self.channels), namespaces, self.depth), self.since)


class ThreadCommand(LangGraphBody):
    """A command: what it is called, and the number by which it is answered."""

    id: StrictInt = Field(ge=0, le=LARGEST_SEQ)
    method: str = Field(min_length=1, max_length=64)
    params: dict[str, Any] = Field(default_factory=dict)


class StartParams(LangGraphBody):
    """`run.start`: input for a new run, or the answer to the one question that the thread waits at."""

    assistant_id: Name
    input: Any = None
    config: Config | None = None
    context: Object | None = None
    metadata: Object | None = None
    multitask_strategy: MultitaskStrategy = "enqueue"
    interrupt_before: list[Name] | Literal["*"] | None = None
    interrupt_after: list[Name] | Literal["*"] | None = None
    durability: Durability | None = None

    @model_validator(mode="before")
    @classmethod
    def _either_spelling(cls, data: Any) -> Any:
        # JavaScript's client sends both; servers and clients before it knew one.
        if isinstance(data, dict) and data.get(_OTHER_SPELLING) is not None:
            return {"multitask_strategy": data[_OTHER_SPELLING], **data}
        return data


class AnswerParams(LangGraphBody):
    """The answer to one question."""

    interrupt_id: Interrupt
    response: Any = None


class RespondParams(LangGraphBody):
    """`input.respond`: answers, by the ids of the questions. Namespaces are not needed: ids are unique in a thread."""

    responses: list[AnswerParams] = Field(min_length=1, max_length=1000)
    update: Any = None
    goto: Any = None
    config: Config | None = None
    metadata: Object | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, data: Any) -> Any:
        if isinstance(data, dict) and "responses" not in data:
            return {**data, "responses": [{name: data[name] for name in ("interrupt_id", "response") if name in data}]}
        return data


class TreeParams(LangGraphBody):
    """`agent.getTree`: of this run, else of the newest."""

    run_id: Name | None = None


class StateParams(LangGraphBody):
    """`state.get`: of the graph at this namespace, all values or some."""

    namespace: Namespace = Field(default_factory=list)
    keys: list[Name] | None = Field(default=None, max_length=1000)


class CheckpointsParams(LangGraphBody):
    """`state.listCheckpoints`: newest first."""

    namespace: Namespace = Field(default_factory=list)
    limit: int = Field(default=10, ge=1, le=1000)
    before: Name | None = None


class ForkParams(LangGraphBody):
    """`state.fork`: a run that goes on from a checkpoint."""

    checkpoint_id: Annotated[str, Field(min_length=1, max_length=256)]
    input: Any = None
    config: Config | None = None


class UnsubscribeParams(LangGraphBody):
    """`subscription.unsubscribe`, on a WebSocket."""

    subscription_id: Name


@with_config(
    things.example(type="success", id=1, result={"run_id": things.RUN}, meta={"applied_through_seq": 4294967296})
)
class CommandAnswer(TypedDict):
    """How a command went: its `result`, or `error` and `message`."""

    type: Literal["success", "error"]
    id: int | None
    result: NotRequired[dict[str, Any] | None]
    error: NotRequired[str | None]
    message: NotRequired[str | None]
    meta: NotRequired[dict[str, Any] | None]


Params = TypeVar("Params", bound=BaseModel)
Code = Literal[
    "invalid_argument",
    "unknown_command",
    "unknown_error",
    "no_such_run",
    "no_such_subscription",
    "no_such_namespace",
    "no_such_interrupt",
    "no_such_checkpoint",
    "permission_denied",
    "not_supported",
]


class Refusal(Exception):
    """A command that is not carried out."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message


@dataclass(frozen=True)
class Done:
    """What a command came to. `through`: the seq of what was told before; the command's own events are behind it."""

    result: dict[str, Any] = field(default_factory=dict)
    through: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self, command_id: int) -> CommandAnswer:
        """The command's answer."""
        answer = CommandAnswer(type="success", id=command_id, result=self.result)
        if self.through is not None:
            answer["meta"] = {"applied_through_seq": self.through}
        return answer


def refused(command_id: int | None, code: Code, message: str) -> CommandAnswer:
    """The answer to a command that is refused, or to what is none."""
    return CommandAnswer(type="error", id=command_id, error=code, message=message)


def checked(model: type[Params], params: dict[str, Any]) -> Params:
    """A command's parameters. Raises Refusal."""
    try:
        return model.model_validate(params)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "params"
        raise Refusal("invalid_argument", f"{where}: {first['msg']}. Correct it and send the command again.") from error
