"""One request in the author's own web app, on the graphs' loop: every answer of the app's is marked as that."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from relayrun_core.custom_routes import ANSWERED_HEADER
from relayrun_core.loopback import AGENT
from relayrun_runner.endings import is_cancelled
from relayrun_runner.loopback.caller import CALLER

log = logging.getLogger("relayrun.runner")

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
