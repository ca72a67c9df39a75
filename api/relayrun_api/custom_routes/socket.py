"""WebSockets of agents' own web apps: connected to a runner first, so that the app's refusal is the client's answer."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from relayrun_api.custom_routes.headers import answer_headers, request_headers
from relayrun_api.custom_routes.service import CustomApp, away, user_for
from relayrun_api.http.bodies import MAX_BODY_BYTES
from relayrun_api.http.errors import ApiError, Forbidden, RunnerLost, TooSlow
from relayrun_api.http.problems import problem_of
from relayrun_api.http.websockets import BEARER, SUBPROTOCOL, check_origin, offered, refuse, with_token
from relayrun_api.services import Services
from relayrun_api.tasks import cancelled
from relayrun_core.errors import RelayrunError
from relayrun_core.runner_requests import ANSWERED_HEADER, CUSTOM_PATH

_REFUSALS = (ApiError, RelayrunError, psycopg.Error, PoolTimeout)
_DONE, _GOING_AWAY, _COME_AGAIN = 1000, 1001, 1012
# RFC 6455 section 7.4.1: what stands for no code, and is not sent.
_NO_CODE = 1005
_UNSAID = frozenset({1004, _NO_CODE, 1006, 1015})
_MOST_WAITING = 4


class _Denied(Exception):
    """The app refused the connection."""

    def __init__(self, response: Response) -> None:
        self.response = response


class _Direct(connect):
    """Goes nowhere else: another address would hear the runner's token."""

    def process_redirect(self, exc: Exception) -> Exception:
        """As an error."""
        return exc


async def serve_socket(websocket: WebSocket, services: Services) -> bool:
    """Carry messages between the client and an app until one of them leaves; False: no agent has an app."""
    async with AsyncExitStack() as held:
        return await _serve(websocket, services, held)


async def _serve(websocket: WebSocket, services: Services, held: AsyncExitStack) -> bool:
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered(websocket) else None
    try:
        app = await services.custom_routes.find(websocket.scope["path"])
        if app is None:
            return False
        check_origin(websocket, services.settings)
        connection = with_token(websocket)
        upstream = await _connected(services, app, connection, await user_for(app, connection, held))
    except _Denied as denied:
        await websocket.send_denial_response(denied.response)
        return True
    except _REFUSALS as error:
        await refuse(websocket, problem_of(error), subprotocol)
        return True
    try:
        await websocket.accept(upstream.subprotocol or subprotocol)
        await _carry(websocket, upstream)
    finally:
        await upstream.close(_GOING_AWAY)
    return True


async def _connected(
    services: Services, app: CustomApp, connection: HTTPConnection, user: Mapping[str, Any] | None
) -> ClientConnection:
    custom, scope = services.custom_routes, connection.scope
    headers = request_headers(scope, services.runners.authorization, user, app.root)
    theirs = [name for name in scope.get("subprotocols") or () if name != SUBPROTOCOL and not name.startswith(BEARER)]
    for runner in await custom.able(app):
        try:
            return await _Direct(
                f"ws{runner.url.removeprefix('http')}{CUSTOM_PATH}",
                additional_headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers],
                subprotocols=[Subprotocol(name) for name in theirs] or None,
                compression=None,
                proxy=None,
                user_agent_header=None,
                ping_interval=None,  # the runner's server does
                open_timeout=custom.limit_seconds,
                max_size=MAX_BODY_BYTES,
                max_queue=_MOST_WAITING,
            )
        except InvalidStatus as error:
            if ANSWERED_HEADER not in error.response.headers:
                continue  # the runner's own refusal: it goes, or has no app
            raise _denial(error) from error
        except TimeoutError:
            raise TooSlow(f"The agent's own route did not accept within {custom.limit_seconds:g} s.") from None
        except OSError:
            continue
        except InvalidHandshake as error:
            raise RunnerLost(f"The runner did not complete the WebSocket's handshake: {error}.") from error
    raise away(app)


def _denial(error: InvalidStatus) -> Exception:
    response = error.response
    if response.status_code == Forbidden.status and not response.body:
        return Forbidden("The agent's own route refuses this connection.")
    made = Response(bytes(response.body), response.status_code)
    made.raw_headers = answer_headers((name.encode(), value.encode()) for name, value in response.headers.raw_items())
    return _Denied(made)


async def _carry(websocket: WebSocket, upstream: ClientConnection) -> None:
    up = asyncio.create_task(_to_app(websocket, upstream))
    down = asyncio.create_task(_to_client(websocket, upstream))
    try:
        done, _ = await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancelled(up, down)


async def _to_app(websocket: WebSocket, upstream: ClientConnection) -> None:
    """Until the client leaves, which the app is told."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or _GOING_AWAY
            await upstream.close(_GOING_AWAY if code in _UNSAID else code, message.get("reason") or "")
            return
        text = message.get("text")
        try:
            await upstream.send(message["bytes"] if text is None else text)
        except ConnectionClosed:
            await asyncio.Event().wait()  # the other direction knows why


async def _to_client(websocket: WebSocket, upstream: ClientConnection) -> None:
    """Until the app closes, or its runner dies: then the client is asked to come again."""
    try:
        async for message in upstream:
            kind = "text" if isinstance(message, str) else "bytes"
            await websocket.send({"type": "websocket.send", kind: message})
    except ConnectionClosed:
        pass
    code = upstream.close_code
    if code is None or code in _UNSAID:
        code = _DONE if code == _NO_CODE else _COME_AGAIN
    await websocket.close(code, upstream.close_reason)
