"""Pure ASGI middleware: the request id, the time to the answer's start, and the last handler of exceptions.

Not Starlette's BaseHTTPMiddleware: that puts a queue and a task between a stream and its client.
"""

import logging
import time
from uuid import uuid4

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relayrun_api.http.problems import problem_of
from relayrun_api.http.responses import problem_response
from relayrun_api.metrics import Metrics

logger = logging.getLogger("relayrun.api")

_MAX_REQUEST_ID = 128


class RequestId:
    """Gives each request an id, the caller's `X-Request-ID` when it is plain, and answers with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        header = (b"x-request-id", request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, send_with_id)


class LastNet:
    """Turns what nobody caught into problem details, inside CORS so that a browser may read it, and measures."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        started = False

        async def send_measured(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                # Until the answer's start: a stream's length says nothing about the API.
                self._metrics.answered(scope, message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, send_measured)
        except ClientDisconnect:
            return  # while its body was read: nobody is there to be answered
        except Exception as error:
            if started:
                raise
            response = self._answer(scope, error)
            await response(scope, receive, send_measured)

    def _answer(self, scope: Scope, error: Exception) -> Response:
        problem = problem_of(error)
        request_id = scope["state"].get("request_id")
        if problem.status >= 500:
            fields = {"request": request_id, "method": scope["method"], "path": scope["path"]}
            logger.error("request failed: %s", error, exc_info=problem.status == 500, extra=fields)
        return problem_response(problem, request_id)


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = bytes(value).decode("latin-1")
            plain = text.isascii() and text.isprintable() and 0 < len(text) <= _MAX_REQUEST_ID
            return text if plain else None
    return None
