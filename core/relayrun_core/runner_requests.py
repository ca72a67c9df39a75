"""How the API passes clients' requests on to a runner: questions about threads, and calls of an agent's custom routes.

All custom routes share one path of the runner protocol. A header of its own describes the client's request, so that no
client path can be mistaken for another path of the protocol, and the runner token never mixes with the client's
credentials.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

#: The path of a runner that takes custom routes, over HTTP and WebSocket.
CUSTOM_PATH = "/app"
#: Holds a `ProxiedRequest`.
REQUEST_HEADER = "x-relayrun-request"
#: Set on every answer of the author's app. An answer without it is the runner's own refusal.
ANSWERED_HEADER = "x-relayrun-app"
#: Holds the user as JSON.
USER_HEADER = "x-relayrun-user"
#: Set on an answer whose states hold only the parts that were asked for.
SELECTED_HEADER = "Relayrun-Selected"
#: The reason of a runner's 504 that is not the fault of the agent's code.
READING_SLOW = "ReadingSlow"

# WebSocket servers limit the length of a header line, and a user may be long: longer values become several headers.
_LONGEST_VALUE = 4096

#: First path segments of the API's own routes, which win over an app's; below /.well-known that is one path alone.
BUILT_IN = frozenset(
    {
        "a2a",
        "agents",
        "assistants",
        "chat",
        "healthz",
        "history",
        "info",
        "invoke",
        "keys",
        "mcp",
        "metrics",
        "ok",
        "readyz",
        "revisions",
        "run-task",
        "runs",
        "status",
        "store",
        "threads",
    }
)

#: First path segments that the LangGraph Agent Server leaves to apps: an app that has routes there keeps them.
YIELDING = frozenset({"agents", "console", "keys", "revisions"})
#: In front of the paths of our own routes there, which are ours in any case.
OWN_PREFIX = "/relayrun"


@dataclass(frozen=True)
class ProxiedRequest:
    """A client's request for a custom route. Texts are the request's bytes, decoded as Latin-1.

    `user` is the authenticated user, for apps behind the API's authentication; None: nobody was authenticated.
    """

    path: str
    raw_path: str
    root_path: str = ""
    query: str = ""
    host: str | None = None
    scheme: str = "http"
    client: tuple[str, int] | None = None
    authorization: tuple[str, ...] = ()
    user: dict[str, Any] | None = None


@dataclass(frozen=True)
class CustomHttp:
    """The `http` section of an agent, as its runner reports it: whether there is an app, which of `YIELDING` it has
    routes for, whether callers need no authentication, and which headers of a request that starts a run become
    `configurable`.
    """

    app: bool = False
    takes: tuple[str, ...] = ()
    open_to_all: bool = False
    header_includes: tuple[str, ...] = ()
    header_excludes: tuple[str, ...] = ()


#: For agents that have no `http` section.
NO_HTTP = CustomHttp()

_REQUEST = TypeAdapter(ProxiedRequest)


def first_of(path: str) -> str:
    """A path's first segment; empty for what is no path."""
    return "".join(path.split("/")[1:2])


def to_headers(request: ProxiedRequest) -> list[tuple[bytes, bytes]]:
    """Encode the request as headers; `from_headers` reads them."""
    return [(REQUEST_HEADER.encode(), part) for part in _encoded(request)]


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> ProxiedRequest:
    """Read what `to_headers` wrote, among other headers. Raises ValueError."""
    try:
        return _REQUEST.validate_json(_decoded(REQUEST_HEADER, headers))
    except (binascii.Error, ValidationError) as error:
        raise ValueError(f"{REQUEST_HEADER} is not what the API writes: {error}") from error


def user_headers(user: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Encode the user as headers; no headers for None."""
    return [] if user is None else [(USER_HEADER, part.decode()) for part in _encoded(user)]


def user_in(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any] | None:
    """Read the user that `user_headers` wrote, among other headers; None without one. Raises ValueError."""
    try:
        content = _decoded(USER_HEADER, headers)
        user: dict[str, Any] | None = orjson.loads(content) if content else None
    except (binascii.Error, orjson.JSONDecodeError) as error:
        raise ValueError(f"{USER_HEADER} is not what the API writes: {error}") from error
    return user


def parts_of(state: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Return the named members of a state, or single values as `values.<key>`. Missing ones are left out."""
    parts = {name: state[name] for name in fields if name in state}
    keys = [name.removeprefix("values.") for name in fields if name.startswith("values.")]
    values = state.get("values")
    if keys and "values" not in parts:
        parts["values"] = {key: values[key] for key in keys if key in values} if isinstance(values, dict) else values
    return parts


def _encoded(value: Any) -> list[bytes]:
    content = base64.b64encode(orjson.dumps(value))
    return [content[begin : begin + _LONGEST_VALUE] for begin in range(0, len(content), _LONGEST_VALUE)]


def _decoded(name: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    value = b"".join(part for header, part in headers if header == name.encode())
    return base64.b64decode(value, validate=True)
