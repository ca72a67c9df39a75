"""Who asked for what, a line a request; and the audit trail: what admins asked for, and what was deleted or cancelled.

Neither has queries, bodies or headers: those have tokens and what people wrote. Paths are without whatever looks like a
credential.
"""

import logging
import re
import time
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

access_logger = logging.getLogger("relayrun.access")
audit_logger = logging.getLogger("relayrun.audit")
for _logger in (access_logger, audit_logger):
    _logger.setLevel(logging.INFO)  # whatever else of the log is wanted: settings of their own switch them

# Kubernetes and Prometheus ask every few seconds.
_PROBES = frozenset(("/ok", "/healthz", "/readyz", "/metrics"))
_MOST_CHARACTERS = 300
# Our API keys and JWTs; neither belongs into an address.
_CREDENTIAL = re.compile(r"relayrun_[0-9a-f]{16,}|eyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?")
_UNDOING = ("delete_", "cancel_", "prune_")
# The client has gone before there was an answer: nginx's number for that.
_GONE = 499
_ACCEPTED = 101

_OWNERS: ContextVar[set[str | None] | None] = ContextVar("relayrun_owners", default=None)


def note_owner(owner: str | None) -> None:
    """Say whose the thing is that the current request is about."""
    owners = _OWNERS.get()
    if owners is not None:
        owners.add(owner)


def without_credentials(text: str) -> str:
    """The text, or its beginning, with `…` in place of what looks like a credential."""
    return _CREDENTIAL.sub("…", text)[:_MOST_CHARACTERS]


class AccessLog:
    """ASGI middleware that writes both; it stands within what gives requests their ids."""

    def __init__(self, app: ASGIApp, *, access: bool, audit: bool) -> None:
        self._app = app
        self._access = access
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket") or not (self._access or self._audit):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        answer = _Answer()

        async def send_counted(message: Message) -> None:
            answer.note(message)
            await send(message)

        owners: set[str | None] = set()
        token = _OWNERS.set(owners)
        try:
            await self._app(scope, receive, send_counted)
        finally:
            _OWNERS.reset(token)
            self._tell(scope, answer, (time.perf_counter() - began) * 1000, owners)

    def _tell(self, scope: Scope, answer: "_Answer", ms: float, owners: set[str | None]) -> None:
        route = scope.get("route")
        state = scope.get("state") or {}
        principal = state.get("principal")
        told = {
            "method": scope.get("method", "WEBSOCKET"),
            "route": getattr(route, "path", "unknown"),
            "status": answer.status,
            "user": getattr(principal, "owner", None),
            "request": state.get("request_id"),
        }
        words = ("%s %s %s", told["method"], told["route"], told["status"])
        if self._access and told["route"] not in _PROBES:
            more = {"path": without_credentials(scope["path"]), "ms": round(ms, 1), "bytes": answer.size}
            access_logger.info(*words, extra={**told, **more})
        action = getattr(route, "operation_id", None) or ""
        admin = bool(getattr(principal, "admin", False))
        # Without authentication everybody is an admin, and nobody.
        if self._audit and ((admin and told["user"] is not None) or action.startswith(_UNDOING)):
            about: dict[str, Any] = {"action": action, "admin": admin, "owners": sorted(map(str, owners - {None}))}
            things = {name: without_credentials(str(value)) for name, value in scope.get("path_params", {}).items()}
            audit_logger.info(*words, extra={**told, **about, "things": things})


class _Answer:
    """What is known of an answer by what was sent of it."""

    def __init__(self) -> None:
        self.status = _GONE
        self.size = 0

    def note(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                self.status = message["status"]
            case "http.response.body" | "websocket.http.response.body":
                self.size += len(message.get("body", b""))
            case "websocket.accept":
                self.status = _ACCEPTED
            case "websocket.send":
                self.size += len(message.get("bytes") or message.get("text") or "")
            case "websocket.close" if self.status == _GONE:
                self.status = 403
