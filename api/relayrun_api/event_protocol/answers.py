"""How the event protocol's commands are answered, and refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from relayrun_api.event_protocol.models import CommandAnswer

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
