"""What the document says of one operation, beyond what FastAPI finds in its route."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Operation:
    """`name`: its operationId; `about`: one or two sentences below its summary.

    `answer`: the type of its JSON, or an example of its text or stream; None: no content. `example`: of its JSON,
    where the type has none. `refusals`: statuses beside those that follow from its route, which are 401, 404 where its
    path has an id, 408, 413, 415 and 422 for a body, and 429 and 503.
    `also`: further statuses with the same answer, or 204 with none. `bodies`: examples by what they show, where those
    of the body's model are not the ones. `asks_who`: it tells more to those who send a token.
    """

    name: str
    about: str
    answer: Any = None
    example: Any = None
    refusals: tuple[int, ...] = ()
    also: Mapping[int, str] = field(default_factory=dict)
    asks_who: bool = False
    bodies: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Stream:
    """An answer as server-sent events, and how one looks."""

    example: str


@dataclass(frozen=True)
class Text:
    """An answer as text."""

    media_type: str
    example: str


#: By method and path.
Operations = Mapping[tuple[str, str], Operation]
