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
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import psycopg
from fastapi import APIRouter
from psycopg_pool import PoolTimeout
from starlette.websockets import WebSocket, WebSocketDisconnect

from relayrun_api.auth import Principal
from relayrun_api.auth.admission import admitted_on
from relayrun_api.auth.lasting import NoLongerAccepted, StillAccepted
from relayrun_api.event_protocol import permissions
from relayrun_api.event_protocol.commands import Commands
from relayrun_api.event_protocol.events import Subscribed
from relayrun_api.event_protocol.feed import ProtocolFeed
from relayrun_api.event_protocol.models import (
    Code,
    CommandAnswer,
    EventStreamRequest,
    Refusal,
    ThreadCommand,
    UnsubscribeParams,
    checked,
    refused,
)
from relayrun_api.event_protocol.routes import require_visible
from relayrun_api.event_protocol.seq import SeqOrder
from relayrun_api.http.bodies import parse_json
from relayrun_api.http.errors import ApiError, Invalid, Unauthenticated
from relayrun_api.http.problems import Problem, problem_of
from relayrun_api.http.responses import dumps
from relayrun_api.http.shares import ASKING_USER
from relayrun_api.http.streamed import Truncated
from relayrun_api.http.websockets import BEARER, SUBPROTOCOL, check_origin, offered, refuse, with_token
from relayrun_api.runs.terms import limit_of
from relayrun_api.services import Services
from relayrun_api.tasks import cancelled
from relayrun_api.threads.service import ThreadRef, refer
from relayrun_core.db.starting import Terms
from relayrun_core.errors import RelayrunError

logger = logging.getLogger("relayrun.api.protocol")

router = APIRouter()

_MOST_SUBSCRIPTIONS = 64
#: What a client does that connects.
_READ = ThreadCommand(id=0, method="subscription.subscribe")
_BROKEN, _COME_AGAIN = 1011, 1012
_REFUSALS = (ApiError, RelayrunError, psycopg.Error, PoolTimeout)


@router.websocket("/threads/{thread_id}/stream/events")
async def socket(websocket: WebSocket, thread_id: str) -> None:
    """Commands and events of a thread."""
    services: Services = websocket.app.state.services
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered(websocket) else None
    held = AsyncExitStack()
    try:
        check_origin(websocket, services.settings)
        caller = await _caller(websocket, _READ)
        thread = await refer(services.database, caller, thread_id)
        await require_visible(services, caller, thread)
        await held.enter_async_context(services.shares.open(caller.owner, websocket))
    except _REFUSALS as error:
        await refuse(websocket, problem_of(error), subprotocol)
        return
    async with held:
        await websocket.accept(subprotocol)
        with services.metrics.sse_connections.track_inprogress():
            await _Conversation(websocket, services, caller, thread).run()


@dataclass(frozen=True)
class _Subscription:
    """What tells its events, and the caller's share that it takes."""

    pump: asyncio.Task[None]
    share: AsyncExitStack


class _Conversation:
    """One accepted connection."""

    def __init__(self, websocket: WebSocket, services: Services, caller: Principal, thread: ThreadRef) -> None:
        self._websocket = websocket
        self._services = services
        self._caller = caller
        self._thread = thread
        address = websocket.client.host if websocket.client else None
        self._terms = Terms(limit=limit_of(services.settings, caller, address), headers=websocket.headers.items())
        self._subscriptions: dict[str, _Subscription] = {}
        self._order = SeqOrder()

    async def run(self) -> None:
        """Answer until the client leaves."""
        try:
            while True:
                await self._answer(await self._next())
        except WebSocketDisconnect:
            return
        finally:
            await cancelled(*(subscription.pump for subscription in self._subscriptions.values()))
            for subscription in self._subscriptions.values():
                await subscription.share.aclose()

    async def _next(self) -> bytes:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        return message.get("bytes") or (message.get("text") or "").encode(errors="surrogatepass")

    async def _answer(self, content: bytes) -> None:
        command_id = None
        try:
            command = checked(ThreadCommand, parse_json(content))
            command_id = command.id
            # A token may have expired since, or a key been withdrawn.
            caller = await _caller(self._websocket, command)
            answer = await self._carried_out(command, caller)
        except Refusal as error:
            answer = refused(command_id, error.code, error.message)
        except Invalid as error:
            answer = refused(command_id, "invalid_argument", error.detail)
        except _REFUSALS as error:
            problem = problem_of(error)
            answer = refused(command_id, _code_of(problem), problem.detail)
        await self._send(dumps(answer))

    async def _carried_out(self, command: ThreadCommand, caller: Principal) -> CommandAnswer:
        match command.method:
            case "subscription.subscribe":
                result = await self._subscribe(checked(EventStreamRequest, command.params).subscribed)
            case "subscription.unsubscribe":
                result = await self._unsubscribe(checked(UnsubscribeParams, command.params).subscription_id)
            case "subscription.reconnect":
                # Subscriptions end with their connection: a client makes them again, with `since`.
                result = {"restored": False}
            case _:
                commands = Commands(self._services, caller, self._thread, self._terms)
                return (await commands.carry_out(command)).answer(command.id)
        return CommandAnswer(type="success", id=command.id, result=result)

    async def _subscribe(self, subscribed: Subscribed) -> dict[str, object]:
        if len(self._subscriptions) >= _MOST_SUBSCRIPTIONS:
            raise Refusal(
                "invalid_argument", f"A connection has at most {_MOST_SUBSCRIPTIONS} subscriptions: end one first."
            )
        identity = str(uuid4())
        share = AsyncExitStack()
        await share.enter_async_context(self._services.shares.open(self._caller.owner, self._websocket))
        self._order.join(identity)
        pump = asyncio.create_task(self._pump(identity, subscribed), name=f"subscription {identity}")
        self._subscriptions[identity] = _Subscription(pump, share)
        return {"subscription_id": identity}

    async def _unsubscribe(self, identity: str) -> dict[str, object]:
        subscription = self._subscriptions.get(identity)
        if subscription is None:
            raise Refusal("no_such_subscription", f"This connection has no subscription {identity!r}.")
        await cancelled(subscription.pump)
        del self._subscriptions[identity]
        await subscription.share.aclose()
        self._order.leave(identity)
        return {}

    async def _pump(self, identity: str, subscribed: Subscribed) -> None:
        services, thread_id = self._services, self._thread.thread_id
        passed = partial(self._order.passed, identity)
        feed = ProtocolFeed(services.database, services.hub, self._caller, thread_id, subscribed, passed)
        accepted = StillAccepted(self._websocket.app.state.authenticator, with_token(self._websocket))
        try:
            see = partial(require_visible, services, thread=self._thread)
            async with aclosing(accepted.guard(feed.events(), see)) as pages:
                async for page in pages:
                    for sent in page or ():
                        await self._order.turn(identity, sent.seq)
                        # The server's flow control holds back the feed while the client does not read.
                        await self._send(sent.data)
        except NoLongerAccepted as error:
            again = (
                "connect again with a new token" if error.status == Unauthenticated.status else "not yours to read now"
            )
            await self._close(4000 + error.status, again)
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


async def _caller(websocket: WebSocket, command: ThreadCommand) -> Principal:
    """Who calls, and may give this command, whose members an author's handlers may change."""
    connection = with_token(websocket)
    asked = {"method": command.method, "params": command.params}
    caller = await admitted_on(websocket.app.state.authenticator, connection, permissions.command, asked)
    if caller is None:
        raise Unauthenticated(
            "Authenticate: send `Authorization: Bearer` with your token, or your key; from a browser, the protocols "
            f"`{SUBPROTOCOL}` and `{BEARER}<token>`."
        )
    ASKING_USER.set(caller.user)
    return caller


def _code_of(problem: Problem) -> Code:
    if problem.status in (401, 403):
        return "permission_denied"
    return "no_such_run" if problem.status == 404 else "unknown_error"
