"""The agent's token, which every call carries."""

import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from relayrun_runner.protocol.probes import OPEN_PATHS
from relayrun_runner.protocol.responses import json_response


class BearerToken:
    """Answers 401 to whoever does not know the agent's token, except on the open paths."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] in ("http", "websocket"):
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            scope["authorized"] = hmac.compare_digest(given, self._expected)
            if not scope["authorized"] and scope["path"] not in OPEN_PATHS:
                answer = json_response({"reason": "Unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
