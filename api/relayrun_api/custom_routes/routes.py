"""Paths where an agent's own web app answers, if there is one: docs/how-to/custom-routes.md."""

from contextlib import AsyncExitStack

from starlette.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from relayrun_api.custom_routes.service import user_for
from relayrun_api.custom_routes.socket import serve_socket
from relayrun_api.services import Services
from relayrun_core.runner_requests import OWN_PREFIX, YIELDING, first_of


class CustomFallback:
    """ASGI: what comes here, no route of ours has. `otherwise` answers where no agent has an app."""

    def __init__(self, otherwise: ASGIApp) -> None:
        self._otherwise = otherwise
        #: For metrics, which name routes and never paths.
        self._route = Route("/{custom}", otherwise)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        services: Services = scope["app"].state.services
        if scope["type"] == "websocket":
            if not await serve_socket(WebSocket(scope, receive, send), services):
                await self._otherwise(scope, receive, send)
            return
        app = await services.custom_routes.find(scope["path"])
        if app is None:
            await self._otherwise(scope, receive, send)
            return
        scope["route"] = self._route
        async with AsyncExitStack() as held:
            user = await user_for(app, HTTPConnection(scope), held)
            await services.custom_routes.pass_on(app, scope, receive, send, user)


class Yielding:
    """ASGI, in front of our routes: those that the Agent Server does not have make way for an app's own, and are below
    `OWN_PREFIX` in any case.
    """

    def __init__(self, ours: ASGIApp, theirs: ASGIApp) -> None:
        self._ours = ours
        self._theirs = theirs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path: str = scope.get("path", "")
        own = path.startswith(f"{OWN_PREFIX}/")
        ours = path[len(OWN_PREFIX) :] if own else path
        if first_of(ours) in YIELDING:
            if own:
                scope["path"], scope["raw_path"] = ours, scope["raw_path"][len(OWN_PREFIX) :]
            elif await scope["app"].state.services.custom_routes.takes(path):
                await self._theirs(scope, receive, send)
                return
        await self._ours(scope, receive, send)
