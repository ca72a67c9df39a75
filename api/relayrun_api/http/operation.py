"""What the OpenAPI document says of a route, beyond what FastAPI finds in its signature."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Operation:
    """`answer`: the type of its JSON, or an example of its text or stream; None: no content. `example`: of its JSON,
    where the type has none. `examples`: bodies to send, by what they show.

    `refusals`: statuses beside those that follow from the route, which are 401, 404 where its path has an id, 408,
    413, 415 and 422 for a body, and 429 and 503. `also`: further statuses with the same answer, or 204 with none.
    `asks_who`: it tells more to those who send a token.
    """

    answer: Any = None
    example: Any = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    also: Mapping[int, str] = field(default_factory=dict)
    asks_who: bool = False


@dataclass(frozen=True)
class Stream:
    """An answer as server-sent events, and how one looks."""

    example: str


@dataclass(frozen=True)
class Text:
    """An answer as text."""

    media_type: str
    example: str
