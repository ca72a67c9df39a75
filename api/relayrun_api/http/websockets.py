"""Shared by all WebSockets: which pages may connect, how a browser sends its token, how a connection is refused."""

import logging
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from relayrun_api.http.cors import cors_options
from relayrun_api.http.errors import Forbidden
from relayrun_api.http.problems import Problem
from relayrun_api.http.responses import problem_response
from relayrun_api.settings import ApiSettings

logger = logging.getLogger("relayrun.api")

#: The one protocol that is spoken, for clients that have to name one.
SUBPROTOCOL = "relayrun"
#: Browsers send no `Authorization` with a WebSocket; what they can send is a list of protocols.
BEARER = "relayrun.bearer."


def check_origin(websocket: HTTPConnection, settings: ApiSettings, *, own: bool = True) -> None:
    """Pages of foreign origins are kept out as CORS does it elsewhere; a browser asks no leave for a WebSocket.

    `own`: pages of this server's own host may connect. A page may make any host name lead here (DNS rebinding). Raises
    Forbidden.
    """
    origin = websocket.headers.get("origin")
    if origin is None or (own and urlsplit(origin).netloc == websocket.headers.get("host")):
        return
    allowed = cors_options(settings)
    pattern = allowed.get("allow_origin_regex")
    if {origin, "*"}.isdisjoint(allowed["allow_origins"]) and not (pattern and re.fullmatch(pattern, origin)):
        raise Forbidden(f"Pages of {origin} may not connect: add the origin to those that CORS allows.")


def offered(websocket: WebSocket) -> Sequence[str]:
    """The protocols that the client offers."""
    return websocket.scope.get("subprotocols") or ()


def with_token(websocket: WebSocket) -> HTTPConnection:
    """The connection with the token that a browser sent as a protocol, if it did, where others send theirs."""
    token = next((name.removeprefix(BEARER) for name in offered(websocket) if name.startswith(BEARER)), None)
    if token is None:
        return websocket
    headers = [*websocket.scope["headers"], (b"authorization", f"Bearer {token}".encode())]
    return HTTPConnection({**websocket.scope, "headers": headers})


async def refuse(websocket: WebSocket, problem: Problem, subprotocol: str | None) -> None:
    """Refuse the connection; to pages, which cannot read a status, as a close code: 4000 more."""
    if problem.status >= 500:
        logger.error("a WebSocket was refused: %s", problem.detail)
    if "origin" in websocket.headers and problem.code != Forbidden.code:
        await websocket.accept(subprotocol)
        await websocket.close(4000 + problem.status, problem.code)
    else:
        await websocket.send_denial_response(problem_response(problem, None))
