"""The author's own web app as ASGI: its lifespan, the scope it gets, and one request on the graphs' loop."""

import asyncio
import logging
from typing import Any

from starlette.authentication import AuthCredentials
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from relayrun_core.loopback import AGENT
from relayrun_core.runner_requests import ANSWERED_HEADER, REQUEST_HEADER, from_headers
from relayrun_runner.auth.users import User
from relayrun_runner.author_errors import class_of, is_cancelled, safely
from relayrun_runner.errors import CustomAppFailed
from relayrun_runner.loopback import CALLER

log = logging.getLogger("relayrun.runner")

_STOP_SECONDS = 5.0


class Lifespan:
    """One app's lifespan, in a task of its own: what it opens is closed by the task that opened it."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._started = asyncio.Event()
        self._said: str | None = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the app has started, or knows no lifespans. Raises CustomAppFailed."""
        self._task = asyncio.create_task(self._run(), name="lifespan of http.app")
        self._told.put_nowait({"type": "lifespan.startup"})
        await self._started.wait()
        if self._said == "lifespan.startup.failed":
            await self._task
            raise CustomAppFailed(self._why()) from self._error

    async def stop(self) -> None:
        """Tell the app to shut down, and wait for it, but not for long."""
        task = self._task
        if task is None or task.done():
            return
        self._told.put_nowait({"type": "lifespan.shutdown"})
        _, pending = await asyncio.wait({task}, timeout=_STOP_SECONDS)
        if pending:
            log.warning("the shutdown of http.app took more than %.0f s and is broken off", _STOP_SECONDS)
            task.cancel()
            await asyncio.wait({task}, timeout=_STOP_SECONDS)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, self._told.get, self._answered)
        except BaseException as error:
            if is_cancelled(error):
                raise
            self._error = error
            if self._said == "lifespan.startup.complete":
                log.exception("the shutdown of http.app failed")
            elif self._said is None:
                # As servers do: an app that raises at a scope that it does not know has no lifespan.
                log.info("http.app has no lifespan: %s", self._why())
        finally:
            self._started.set()

    def _why(self) -> str:
        error = self._error
        return "its startup says that it failed" if error is None else safely(lambda: repr(error), class_of(error))

    async def _answered(self, message: Message) -> None:
        if message["type"].startswith("lifespan.startup."):
            self._said = message["type"]
            self._started.set()


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


#: The messages that begin an answer.
STARTS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
_MARK = (ANSWERED_HEADER.encode(), b"1")
# RFC 6455: an unexpected condition.
_BROKEN = 1011


async def answer(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Have the app answer. What it raises is logged, and is its own 500 while nothing was answered."""
    CALLER.set(AGENT)
    started = False

    async def send_marked(message: Message) -> None:
        nonlocal started
        if message["type"] == "websocket.close" and not started:
            await refuse(403, b"")
            return
        if message["type"] in STARTS:
            started = True
            theirs = [pair for pair in message.get("headers", ()) if pair[0].lower() != _MARK[0]]
            message = {**message, "headers": [*theirs, _MARK]}
        await send(message)

    async def refuse(status: int, body: bytes) -> None:
        kind = "websocket.http" if scope["type"] == "websocket" else "http"
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send_marked({"type": f"{kind}.response.start", "status": status, "headers": headers})
        await send_marked({"type": f"{kind}.response.body", "body": body})

    try:
        await app(scope, receive, send_marked)
    except (ClientDisconnect, WebSocketDisconnect):
        log.info("the client of %s left", scope["path"])
    except BaseException as error:  # what author code raises is its own, and must not end the runner
        if is_cancelled(error):
            raise
        log.exception("the app failed at %s %s", scope.get("method", scope["type"]), scope["path"])
        if not started:
            await refuse(500, b"Internal Server Error")
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _BROKEN})
