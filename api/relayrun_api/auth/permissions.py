"""Permissions: which access checks a request needs from the author's handlers, and how answers change it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams

from relayrun_api.auth.principal import Resource


@dataclass
class RequestData:
    """The parts of a request that permissions read. Handlers' answers may change `body` and `query`."""

    path: dict[str, str]
    query: QueryParams = field(default_factory=QueryParams)
    body: Any = None


Write = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class AccessCheck:
    """A question for an author's handlers: may the caller do this? `write` applies the value that they return."""

    resource: Resource
    action: str
    value: dict[str, Any]
    write: Write | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of the handlers that may decide it."""
        return frozenset((f"{self.resource}.{self.action}", f"{self.resource}.*", f"*.{self.action}", "*.*"))


Permission = Callable[[RequestData], list[AccessCheck]]


#: The page of a search that names none.
PAGE = {"limit": 10, "offset": 0}


def query_flag(request: RequestData, name: str) -> bool:
    """Return whether a boolean query parameter is set. Unclear values count as set: then more is checked, not less."""
    return request.query.get(name, "false").lower() not in ("false", "0", "no", "off", "f", "n")


def as_object(value: Any) -> dict[str, Any]:
    """Return a copy of an object; an empty one for anything else."""
    return dict(value) if isinstance(value, dict) else {}


def members_of(body: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return these members of the body, and always `metadata` if it is among them: handlers write into it."""
    found = given(body, names)
    return {**found, "metadata": as_object(found.get("metadata"))} if "metadata" in names else found


def given(body: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return these members of the body, as far as it has them."""
    return {name: body[name] for name in names if name in body} if isinstance(body, dict) else {}


def into(body: Any, names: tuple[str, ...]) -> Write:
    """Return a function that writes these members back into the body."""

    def write(value: Mapping[str, Any]) -> None:
        if isinstance(body, dict):
            body.update({name: value[name] for name in names if name in value})

    return write
