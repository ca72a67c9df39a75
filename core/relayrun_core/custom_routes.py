"""How the API hands a request for an agent's own web app to a runner, and how both know whose answer it is.

All of them go to one path of the runner's protocol. What the request was is in a header beside the client's own ones:
no path of a client can be taken for another one of the protocol, and the runner's token never mixes with the client's.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

#: Where a runner's protocol takes them, over HTTP and WebSocket.
CUSTOM_PATH = "/app"
#: Has a `ProxiedRequest`, in parts.
REQUEST_HEADER = "x-relayrun-request"
#: On every answer of the author's app; what comes without it is the runner's own refusal.
ANSWERED_HEADER = "x-relayrun-app"

_LONGEST_VALUE = 4096

#: The first parts of the paths that the API has routes of its own below, which win over an app's.
BUILT_IN = frozenset(
    {
        "assistants",
        "chat",
        "healthz",
        "history",
        "info",
        "invoke",
        "metrics",
        "ok",
        "readyz",
        "run-task",
        "runs",
        "status",
        "store",
        "threads",
    }
)


@dataclass(frozen=True)
class ProxiedRequest:
    """What the client asked for. Texts are the bytes of the request, read as Latin-1.

    `user` is whom the API found out, for apps behind its authentication; None: nobody was asked.
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
    """What a runner tells of its agent's `http`: whether there is an app, who may call it, and which headers of a
    request that starts a run become `configurable`.
    """

    app: bool = False
    open_to_all: bool = False
    header_includes: tuple[str, ...] = ()
    header_excludes: tuple[str, ...] = ()


#: Of agents that say nothing of it.
NO_HTTP = CustomHttp()

_REQUEST = TypeAdapter(ProxiedRequest)


def to_headers(request: ProxiedRequest) -> list[tuple[bytes, bytes]]:
    """The request in headers: several, for a user may be long and a server of WebSockets takes no long lines."""
    value, name = base64.b64encode(orjson.dumps(request)), REQUEST_HEADER.encode()
    return [(name, value[begin : begin + _LONGEST_VALUE]) for begin in range(0, len(value), _LONGEST_VALUE)]


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> ProxiedRequest:
    """What `to_headers` wrote, among others. Raises ValueError."""
    value = b"".join(part for name, part in headers if name == REQUEST_HEADER.encode())
    try:
        return _REQUEST.validate_json(base64.b64decode(value, validate=True))
    except (binascii.Error, ValidationError) as error:
        raise ValueError(f"{REQUEST_HEADER} is not what the API writes: {error}") from error
