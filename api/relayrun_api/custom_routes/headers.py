"""Which headers pass between a client and an agent's own web app, both ways. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import httpx
from starlette.types import Scope

from relayrun_core.loopback import HEADER as LOOPBACK
from relayrun_core.runner_requests import ANSWERED_HEADER, REQUEST_HEADER, USER_HEADER, ProxiedRequest, to_headers

Headers = list[tuple[bytes, bytes]]

# RFC 9110 section 7.6.1: of one connection, not of the message.
_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_ID = b"x-request-id"
_ANSWERED = ANSWERED_HEADER.encode()
_OURS = frozenset(name.encode() for name in (ANSWERED_HEADER, REQUEST_HEADER, USER_HEADER, LOOPBACK))
_NOT_THE_CLIENTS = _HOP | _OURS | {b"authorization", b"expect", _ID}
# Ours are there already, and CORS is answered for all routes alike.
_NOT_THE_APPS = _HOP | {b"date", b"server", _ID, _ANSWERED}
_CORS = b"access-control-"


def request_headers(scope: Scope, authorization: str, user: Mapping[str, Any] | None, root: str) -> Headers:
    """What a runner gets: the client's headers, the runner's own authorization, and the rest in one header."""
    headers = passed(scope["headers"], _NOT_THE_CLIENTS)
    if scope["type"] == "websocket":
        # Of this handshake; the runner's has its own.
        headers = [pair for pair in headers if pair[0] != b"host" and not pair[0].startswith(b"sec-websocket-")]
    elif not any(name == b"host" for name, _ in headers):
        headers.append((b"host", b"localhost"))
    if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
        headers = [pair for pair in headers if pair[0] != b"content-length"]
        headers.append((b"transfer-encoding", b"chunked"))
    if request_id := scope.get("state", {}).get("request_id"):
        headers.append((_ID, request_id.encode()))
    return [
        *headers,
        (b"authorization", authorization.encode()),
        *to_headers(_proxied(scope, user, root)),
    ]


def answer_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What the client gets of an app's answer."""
    return [pair for pair in passed(headers, _NOT_THE_APPS) if not pair[0].startswith(_CORS)]


def is_answered(response: httpx.Response) -> bool:
    """Whether the app answered, and not the runner in its place."""
    return ANSWERED_HEADER in response.headers


def passed(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> Headers:
    """The headers, names in lower case, without those dropped and those that `Connection` names."""
    named = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    of_connection = {
        part.strip().lower() for name, value in named if name == b"connection" for part in value.split(b",")
    }
    return [pair for pair in named if pair[0] not in dropped and pair[0] not in of_connection]


def _proxied(scope: Scope, user: Mapping[str, Any] | None, root: str) -> ProxiedRequest:
    client = scope.get("client")
    return ProxiedRequest(
        path=scope["path"],
        raw_path=scope["raw_path"].decode("latin-1"),
        root_path=root,
        query=scope["query_string"].decode("latin-1"),
        host=next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), None),
        scheme=scope.get("scheme", "http"),
        client=(str(client[0]), int(client[1])) if client else None,
        authorization=tuple(
            value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"authorization"
        ),
        user=None if user is None else dict(user),
    )
