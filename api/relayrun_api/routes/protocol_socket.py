"""The event protocol on a WebSocket: commands in, their answers and the events of its subscriptions out.

```
 upgrade ─▶ origin ─▶ who calls ─▶ whose thread ─▶ commands, one after the other
              │ no        │ no          │ no        └─ subscription.subscribe ─▶ a feed of its own
              ▼           ▼             ▼
             403         401           404     to browsers as a close code, 4000 more: they cannot read a status
```
"""

import asyncio
import logging
import re
from collections.abc import Iterable
from contextlib import aclosing
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from relayrun_api.answers import dumps, problem_response
from relayrun_api.auth import Principal
from relayrun_api.bodies import parse_json
from relayrun_api.cors import cors_options
from relayrun_api.errors import ApiError, Forbidden, Invalid, Unauthenticated
from relayrun_api.models.protocol import Command, EventStreamRequest, UnsubscribeParams
from relayrun_api.problems import Problem, problem_of
from relayrun_api.routes.parts import new_router
from relayrun_api.routes.protocol import require_visible
from relayrun_api.routes.terms import limit_of
from relayrun_api.services.container import Services
from relayrun_api.services.protocol import Code, Commands, Refusal, checked, refused
from relayrun_api.services.threads import ThreadRef, refer
from relayrun_api.stream.protocol_feed import ProtocolFeed
from relayrun_api.stream.protocol_told import Subscribed
from relayrun_api.stream.response import Truncated
from relayrun_api.stream.tasks import cancelled
from relayrun_core.errors import RelayrunError
from relayrun_core.settings import ApiSettings
from relayrun_core.store.starting import Terms

logger = logging.getLogger("relayrun.api.protocol")

router = new_router("event protocol")

_MOST_SUBSCRIPTIONS = 64
#: The one protocol that is spoken, for clients that have to name one.
_SUBPROTOCOL = "relayrun"
#: Browsers send no `Authorization` with a WebSocket; what they can send is a list of protocols.
_BEARER = "relayrun.bearer."
_BROKEN, _COME_AGAIN = 1011, 1012
_REFUSALS = (ApiError, RelayrunError, psycopg.Error, PoolTimeout)


@router.websocket("/threads/{thread_id}/stream/events")
async def socket(websocket: WebSocket, thread_id: str) -> None:
    """Commands and events of a thread."""
    services: Services = websocket.app.state.services
    subprotocol = _SUBPROTOCOL if _SUBPROTOCOL in _offered(websocket) else None
    try:
        _check_origin(websocket, services.settings)
        caller = await _caller(websocket)
        thread = refer(caller, thread_id)
        await require_visible(services, caller, thread)
    except _REFUSALS as error:
        await _refuse(websocket, problem_of(error), subprotocol)
        return
    await websocket.accept(subprotocol)
    with services.metrics.sse_connections.track_inprogress():
        await _Conversation(websocket, services, caller, thread).run()


class _Conversation:
    """One accepted connection."""

    def __init__(self, websocket: WebSocket, services: Services, caller: Principal, thread: ThreadRef) -> None:
        self._websocket = websocket
        self._services = services
        self._caller = caller
        self._thread = thread
        address = websocket.client.host if websocket.client else None
        terms = Terms(limit=limit_of(services.settings, caller, address))
        self._commands = Commands(services, caller, thread, terms)
        self._subscriptions: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Answer until the client leaves."""
        try:
            while True:
                await self._answer(await self._next())
        except WebSocketDisconnect:
            return
        finally:
            await cancelled(*self._subscriptions.values())

    async def _next(self) -> bytes:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        return message.get("bytes") or (message.get("text") or "").encode(errors="surrogatepass")

    async def _answer(self, content: bytes) -> None:
        command_id = None
        try:
            command = checked(Command, parse_json(content))
            command_id = command.id
            await _caller(self._websocket)  # a token may have expired since, or a key been withdrawn
            answer = await self._carried_out(command)
        except Refusal as error:
            answer = refused(command_id, error.code, error.message)
        except Invalid as error:
            answer = refused(command_id, "invalid_argument", error.detail)
        except _REFUSALS as error:
            problem = problem_of(error)
            answer = refused(command_id, _code_of(problem), problem.detail)
        await self._send(dumps(answer))

    async def _carried_out(self, command: Command) -> dict[str, object]:
        match command.method:
            case "subscription.subscribe":
                result = self._subscribe(checked(EventStreamRequest, command.params).subscribed)
            case "subscription.unsubscribe":
                result = await self._unsubscribe(checked(UnsubscribeParams, command.params).subscription_id)
            case "subscription.reconnect":
                # Subscriptions end with their connection: a client makes them again, with `since`.
                result = {"restored": False}
            case _:
                return (await self._commands.carry_out(command)).answer(command.id)
        return {"type": "success", "id": command.id, "result": result}

    def _subscribe(self, subscribed: Subscribed) -> dict[str, object]:
        if len(self._subscriptions) >= _MOST_SUBSCRIPTIONS:
            raise Refusal(
                "invalid_argument", f"A connection has at most {_MOST_SUBSCRIPTIONS} subscriptions: end one first."
            )
        identity = str(uuid4())
        self._subscriptions[identity] = asyncio.create_task(self._pump(subscribed), name=f"subscription {identity}")
        return {"subscription_id": identity}

    async def _unsubscribe(self, identity: str) -> dict[str, object]:
        task = self._subscriptions.pop(identity, None)
        if task is None:
            raise Refusal("no_such_subscription", f"This connection has no subscription {identity!r}.")
        await cancelled(task)
        return {}

    async def _pump(self, subscribed: Subscribed) -> None:
        services = self._services
        feed = ProtocolFeed(services.database, services.hub, self._caller, self._thread.thread_id, subscribed)
        try:
            async with aclosing(feed.events()) as pages:
                async for page in pages:
                    for sent in page or ():
                        # The server's flow control holds back the feed while the client does not read.
                        await self._send(sent.data)
        except Truncated:
            await self._close(_COME_AGAIN, "connect again")
        except WebSocketDisconnect:
            return  # the reader knows it too
        except Exception:
            logger.exception("a subscription failed", extra={"thread_id": str(self._thread.thread_id)})
            await self._close(_BROKEN, "connect again")

    async def _send(self, content: bytes) -> None:
        try:
            await self._websocket.send({"type": "websocket.send", "text": content.decode()})
        except RuntimeError as error:  # it was closed here
            raise WebSocketDisconnect(_COME_AGAIN) from error

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self._websocket.close(code, reason)
        except RuntimeError:
            return  # it is closed already


def _check_origin(websocket: WebSocket, settings: ApiSettings) -> None:
    """Pages of foreign origins are kept out as CORS does it elsewhere; a browser asks no leave for a WebSocket."""
    origin = websocket.headers.get("origin")
    if origin is None or urlsplit(origin).netloc == websocket.headers.get("host"):
        return
    allowed = cors_options(settings)
    pattern = allowed.get("allow_origin_regex")
    if {origin, "*"}.isdisjoint(allowed["allow_origins"]) and not (pattern and re.fullmatch(pattern, origin)):
        raise Forbidden(f"Pages of {origin} may not connect: have the origin added to those that CORS allows.")


def _offered(websocket: WebSocket) -> Iterable[str]:
    return websocket.scope.get("subprotocols") or ()


async def _caller(websocket: WebSocket) -> Principal:
    token = next((name.removeprefix(_BEARER) for name in _offered(websocket) if name.startswith(_BEARER)), None)
    connection = websocket if token is None else _with_bearer(websocket, token)
    caller = await websocket.app.state.authenticator.authenticate(connection)
    if caller is None:
        raise Unauthenticated(
            "Say who you are: send `Authorization: Bearer` with your token, or your key; from a browser, the protocols "
            f"`{_SUBPROTOCOL}` and `{_BEARER}<token>`."
        )
    principal: Principal = caller
    return principal


def _with_bearer(websocket: WebSocket, token: str) -> HTTPConnection:
    headers = [*websocket.scope["headers"], (b"authorization", f"Bearer {token}".encode())]
    return HTTPConnection({**websocket.scope, "headers": headers})


async def _refuse(websocket: WebSocket, problem: Problem, subprotocol: str | None) -> None:
    if problem.status >= 500:
        logger.error("a WebSocket was refused: %s", problem.detail)
    if "origin" in websocket.headers and problem.code != Forbidden.code:
        await websocket.accept(subprotocol)
        await websocket.close(4000 + problem.status, problem.code)
    else:
        await websocket.send_denial_response(problem_response(problem, None))


def _code_of(problem: Problem) -> Code:
    if problem.status in (401, 403):
        return "permission_denied"
    return "no_such_run" if problem.status == 404 else "unknown_error"
