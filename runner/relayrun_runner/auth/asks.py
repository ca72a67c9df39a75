"""The bodies of POST /auth: the API's questions to an author's auth, and the answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request

_IDS = ("thread_id", "run_id", "assistant_id", "cron_id")
_LISTS_OF_THREADS = ("thread_ids", "ids")
_NAMESPACES = ("namespace", "suffix")


class Connection(BaseModel):
    """A request as its head says it. Headers and query are Latin-1 of the bytes that came."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    method: str
    path: str
    query: str = ""
    path_params: dict[str, str] = Field(default_factory=dict)
    headers: list[tuple[str, str]] = Field(default_factory=list)
    scheme: str = "http"
    client: tuple[str, int] | None = None

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as ASGI has them."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]

    def authorization(self) -> str | None:
        """The `Authorization` header."""
        return next((value for name, value in self.headers if name.lower() == "authorization"), None)

    def query_params(self) -> QueryParams:
        """The query, taken apart."""
        return QueryParams(self.query)

    def scope(self) -> dict[str, Any]:
        """The ASGI scope, of HTTP for a WebSocket's request too."""
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": self.scheme,
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "query_string": self.query.encode("latin-1"),
            "headers": self.raw_headers(),
            "path_params": dict(self.path_params),
            "client": self.client,
            "server": None,
            "state": {},
        }

    def request(self) -> Request:
        """The request, whose body cannot be read."""
        return Request(self.scope())


class Ask(BaseModel):
    """May this be done? `value` is what the SDK's types say for resource and action."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    resource: str
    action: str
    value: dict[str, Any]

    @property
    def threads(self) -> list[str]:
        """The threads it names, as the caller did."""
        one, lists = self.value.get("thread_id"), [self.value.get(name) for name in _LISTS_OF_THREADS]
        several = [str(name) for names in lists if isinstance(names, list) for name in names]
        return [one, *several] if isinstance(one, str) else several

    def typed(self, identity: str, threads: Mapping[str, UUID]) -> dict[str, Any]:
        """The value in the SDK's types: ids are UUIDs; `threads` has those of the threads it names."""
        value = dict(self.value)
        for name in _IDS:
            if isinstance(text := value.get(name), str):
                value[name] = threads[text] if name == "thread_id" else _uuid_or(text)
        for name in _LISTS_OF_THREADS:
            if isinstance(names := value.get(name), list):
                value[name] = [threads[str(entry)] for entry in names]
        if self.resource == "store":
            value |= {name: tuple(value[name]) for name in _NAMESPACES if isinstance(value.get(name), list)}
        if self.resource == "crons":
            if "user_id" in value:
                value["user_id"] = identity
            if isinstance(end := value.get("end_time"), str):
                value["end_time"] = datetime.fromisoformat(end)
        return value


class AuthQuestion(BaseModel):
    """The body of POST /auth. `connection` None: `user` is somebody who was authenticated before."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    connection: Connection | None = None
    user: dict[str, Any] | None = None
    asks: list[Ask] = Field(default_factory=list)


@dataclass
class CachePolicy:
    """For how long, by what, and how many users may be remembered."""

    keys: list[str]
    ttl_seconds: float
    max_size: int


@dataclass
class Refused:
    """What the caller is told. `failed`: not by the author's will."""

    status: int
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    failed: bool = False


@dataclass
class Decision:
    """Of one ask. `matched` False: no handler is about it. `value` None: no handler changed it."""

    matched: bool
    filter: dict[str, Any] | None = None
    value: dict[str, Any] | None = None


@dataclass
class AuthAnswer:
    """Who it is and, in the order of the asks, what it may; or why not."""

    refused: Refused | None = None
    user: dict[str, Any] | None = None
    decisions: list[Decision] = field(default_factory=list)
    handlers: list[str] = field(default_factory=list)
    cache: CachePolicy | None = None


def parse_question(body: bytes) -> AuthQuestion:
    """The question. Raises pydantic's ValidationError, HTTPException for what is no JSON."""
    try:
        # Not by pydantic's own parser, which gives up at fewer levels than a body may have.
        return AuthQuestion.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error


def _uuid_or(text: str) -> UUID | str:
    try:
        return UUID(text)
    except ValueError:
        return text
