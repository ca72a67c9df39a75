"""The ASGI scope that the author's app gets: the client's request, with nothing of the protocol that carried it."""

from typing import Any

from starlette.authentication import AuthCredentials
from starlette.types import Scope

from relayrun_core.custom_routes import ANSWERED_HEADER, REQUEST_HEADER, from_headers
from relayrun_runner.auth.users import User

_OURS = frozenset({b"authorization", REQUEST_HEADER.encode(), ANSWERED_HEADER.encode()})


def scope_of(scope: Scope, state: dict[str, Any]) -> Scope:
    """The scope of what the API handed over in `scope`, with `state` of the app's lifespan. Raises ValueError."""
    headers = scope["headers"]
    request = from_headers(headers)
    websocket = scope["type"] == "websocket"
    theirs = [pair for pair in headers if pair[0] not in _OURS]
    if websocket and request.host is not None:
        theirs = [(b"host", request.host.encode("latin-1")), *(pair for pair in theirs if pair[0] != b"host")]
    theirs += [(b"authorization", text.encode("latin-1")) for text in request.authorization]
    made = {
        **{name: scope[name] for name in ("type", "asgi", "http_version", "method", "subprotocols") if name in scope},
        "scheme": {"https": "wss", "http": "ws"}.get(request.scheme, request.scheme) if websocket else request.scheme,
        "path": request.path,
        "raw_path": request.raw_path.encode("latin-1"),
        "query_string": request.query.encode("latin-1"),
        "root_path": request.root_path,
        "headers": theirs,
        "client": request.client,
        "server": scope.get("server"),
        "state": state.copy(),
        "extensions": scope.get("extensions") or {},
    }
    if request.user is not None:
        user = User(request.user)
        made["user"] = user
        made["auth"] = AuthCredentials(user.permissions)
    return made
