"""The user of a request about a graph or thread. Factories find it in their config, as in a run's."""

from contextvars import ContextVar
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from starlette.types import ASGIApp, Receive, Scope, Send

from relayrun_core.runner_requests import user_in
from relayrun_runner.attempt.config import with_user

#: The user as JSON; None: an author's own authentication found nobody. The context takes it to the graphs' loop.
_CURRENT_USER: ContextVar[dict[str, Any] | None] = ContextVar("relayrun_asker", default=None)


class UserContext:
    """ASGI: remembers for whom each request asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] == "http":
            _CURRENT_USER.set(user_in(scope["headers"]))
        await self._app(scope, receive, send)


def with_current_user(config: RunnableConfig) -> RunnableConfig:
    """The config with whom this task asks for."""
    configurable = with_user(config.get("configurable") or {}, _CURRENT_USER.get())
    return cast("RunnableConfig", {**config, "configurable": configurable})
