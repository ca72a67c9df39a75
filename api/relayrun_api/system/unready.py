"""Refuses requests with 503 until the database has answered once and has this version's tables."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from relayrun_api.http.problems import Problem
from relayrun_api.http.responses import problem_response
from relayrun_api.http.websockets import SUBPROTOCOL, offered, refuse
from relayrun_api.services import Services
from relayrun_api.system.status import StatusService

#: They say themselves how things are, or need no database.
_ANSWERED = (
    "/ok",
    "/info",
    "/status",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/console",
    "/relayrun/console",
)


class OnceReady:
    """Answers 503 until then; afterwards it asks nothing more."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._ready = False
        self._asking: asyncio.Task[str | None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if not self._ready and scope["type"] != "lifespan" and not _is_answered(scope["path"]):
            services: Services = scope["app"].state.services
            if (why := await self._why(services.status)) is not None:
                await _refuse(Problem(503, "database_away", why), scope, receive, send)
                return
            self._ready = True
        await self._app(scope, receive, send)

    async def _why(self, status: StatusService) -> str | None:
        """One question at a time, for all who come meanwhile."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(status.why_unready(), name="ask whether the database is ready")
        return await asyncio.shield(self._asking)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        websocket = WebSocket(scope, receive, send)
        await refuse(websocket, problem, SUBPROTOCOL if SUBPROTOCOL in offered(websocket) else None)
    else:
        await problem_response(problem, scope["state"].get("request_id"))(scope, receive, send)


def _is_answered(path: str) -> bool:
    return path in _ANSWERED or path.startswith(("/docs/", "/console/", "/relayrun/console/"))
