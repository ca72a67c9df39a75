"""The caller, what it may see, and the protocol of authenticators."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from starlette.requests import HTTPConnection

from relayrun_core.db.metadata_filter import MetadataFilter

Resource = Literal["threads", "assistants", "crons", "store"]


@dataclass(frozen=True)
class Scope:
    """What of a resource a caller sees: an owner's, or everybody's, and of these what a filter leaves."""

    owner: str | None
    any_owner: bool = False
    visible: MetadataFilter | None = None

    def covers(self, owner: str | None, metadata: Mapping[str, Any]) -> bool:
        """Whether a thing of this owner and with this metadata exists for the caller."""
        if not (self.any_owner or owner == self.owner):
            return False
        return self.visible is None or self.visible.matches(metadata)


@dataclass(frozen=True)
class Principal:
    """A caller: `owner` owns what it makes; an admin sees what everybody owns. Without authentication nobody owns.

    `user` is what an author's own authentication says of it, `scopes` what its handlers decided about this request,
    `metadata` what they would have the run marked with that it starts; None: no handler is about that. `kwargs` is what
    they changed of such a run, for requests that do not have these words of LangGraph's. `is_agent`: an agent's own
    code calls, outside of any run.
    """

    owner: str | None
    admin: bool = False
    user: Mapping[str, Any] | None = None
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    metadata: Mapping[str, Any] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    is_agent: bool = False

    def scope(self, resource: Resource) -> Scope:
        """What it sees of a resource: its own, unless a handler says otherwise."""
        return self.scopes.get(resource) or Scope(self.owner, self.admin)


class Authenticator(Protocol):
    """Finds out who a connection belongs to."""

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """The caller; None when it does not say who it is. Raises Unauthenticated for a token that is not valid."""
        ...


T = TypeVar("T")


class Remembered(Generic[T]):
    """Answers by the hash of a secret text, each until a time of its own; the oldest go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[bytes, tuple[T, float]] = OrderedDict()

    def get(self, text: str, now: float) -> T | None:
        """The answer for `text`, if there is one that still holds."""
        answer, until = self._answers.get(_hash(text), (None, 0.0))
        return answer if now < until else None

    def put(self, text: str, answer: T, until: float) -> None:
        """Remember the answer."""
        self._answers[_hash(text)] = (answer, until)
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()


def _hash(text: str) -> bytes:
    # Not the text: a dump of the process should not hold everybody's tokens.
    return hashlib.sha256(text.encode()).digest()
