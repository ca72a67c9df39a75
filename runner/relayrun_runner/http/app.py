"""The routes of the runner protocol, behind the runner token."""

from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from relayrun_core.rotating import RotatingSecret, shows
from relayrun_core.runner_requests import CUSTOM_PATH
from relayrun_runner.errors import NoCustomApp, NotReady
from relayrun_runner.graphs.user_context import UserContext
from relayrun_runner.http.responses import EXCEPTION_HANDLERS, json_response
from relayrun_runner.http.routes import NOT_LOADED, OPEN_PATHS, Parts, Probes, Routes


def make_app(parts: Parts) -> ASGIApp:
    """The ASGI application of one runner."""
    routes, probes, custom = Routes(parts), Probes(parts), CustomRoutes(parts)
    app = Starlette(
        routes=[
            Route("/runs/{run_id:uuid}", routes.put_run, methods=["PUT"]),
            Route("/runs/{run_id:uuid}", routes.delete_run, methods=["DELETE"]),
            Route("/runs/{run_id:uuid}/finish", routes.finish_run, methods=["POST"]),
            Route("/runs/{run_id:uuid}/known", routes.know_run, methods=["POST"]),
            Route("/runs", routes.list_runs, methods=["GET"]),
            Route("/threads/{thread_id:uuid}", routes.create_thread, methods=["POST"]),
            Route("/threads/{thread_id:uuid}/state", routes.get_state, methods=["GET"]),
            Route("/threads/{thread_id:uuid}/state", routes.update_state, methods=["POST"]),
            Route("/threads/{thread_id:uuid}/history", routes.get_history, methods=["GET", "POST"]),
            Route("/store/{call}", routes.call_store, methods=["POST"]),
            Route("/describe", routes.describe, methods=["POST"]),
            Route("/auth", routes.ask_auth, methods=["POST"]),
            Route(CUSTOM_PATH, custom),
            WebSocketRoute(CUSTOM_PATH, custom),
            Route("/healthz", probes.healthz),
            Route("/readyz", probes.readyz),
            Route("/metrics", probes.metrics),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    return BearerToken(UserContext(app), parts.tokens)


class CustomRoutes:
    """Hands what the API sends on to the author's own web app."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        loaded = self._parts.loaded
        if loaded is None:
            raise NotReady(NOT_LOADED)
        app = loaded.custom_app
        if app is None:
            raise NoCustomApp("this agent has no http.app")
        await app.serve(scope, receive, send)


class BearerToken:
    """Answers 401 to whoever does not know the agent's token, except on the open paths."""

    def __init__(self, app: ASGIApp, tokens: RotatingSecret) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] in ("http", "websocket"):
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            scope["authorized"] = self._knows(given)
            if not scope["authorized"] and scope["path"] not in OPEN_PATHS:
                answer = json_response({"reason": "Unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _knows(self, authorization: bytes) -> bool:
        return any(shows(authorization, token) for token in self._tokens.all())
