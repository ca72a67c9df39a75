"""What a request wants to do: what the author's handlers are asked, and how their answer comes back into it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams

from relayrun_api.auth.principal import Resource


@dataclass
class Sent:
    """A request: `body` and `query` may be changed by what handlers write."""

    path: dict[str, str]
    query: QueryParams = field(default_factory=QueryParams)
    body: Any = None


Write = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Ask:
    """May this be done? `write` takes what a handler made of the value."""

    resource: Resource
    action: str
    value: dict[str, Any]
    write: Write | None = None

    @property
    def names(self) -> frozenset[str]:
        """The handlers that may be about it."""
        return frozenset((f"{self.resource}.{self.action}", f"{self.resource}.*", f"*.{self.action}", "*.*"))


Rule = Callable[[Sent], list[Ask]]


#: Where a search begins and ends, unless it says so.
PAGE = {"limit": 10, "offset": 0}


def says_yes(sent: Sent, name: str) -> bool:
    """Whether the query says so, or what may be taken for it."""
    return sent.query.get(name, "false").lower() not in ("false", "0", "no", "off", "f", "n")


def as_object(value: Any) -> dict[str, Any]:
    """A copy of an object; an empty one for anything else."""
    return dict(value) if isinstance(value, dict) else {}


def members_of(body: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """What the body has of these, and metadata always: handlers write into it."""
    found = given(body, names)
    return {**found, "metadata": as_object(found.get("metadata"))} if "metadata" in names else found


def given(body: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """What the body has of these."""
    return {name: body[name] for name in names if name in body} if isinstance(body, dict) else {}


def into(body: Any, names: tuple[str, ...]) -> Write:
    """Writes these back into the body."""

    def write(value: Mapping[str, Any]) -> None:
        if isinstance(body, dict):
            body.update({name: value[name] for name in names if name in value})

    return write
