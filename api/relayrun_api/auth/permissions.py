"""What a request wants to do: what the author's handlers are asked, and what takes their answer. Pure."""

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
