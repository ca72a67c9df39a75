"""A prefix in front of all paths, as `http.mount_prefix` of `langgraph.json` has it. What probes and Prometheus ask for
is at its plain path too: they reach this process and no gateway.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relayrun_api.http.errors import NotFound
from relayrun_api.http.problems import problem_of
from relayrun_api.http.responses import problem_response

_PLAIN = frozenset(("/ok", "/healthz", "/readyz", "/metrics"))
#: Metadata of RFC 8615 stands at the host's root, whatever the path of what it is about.
_WELL_KNOWN = "/.well-known/"
_PLACES = ("location", "content-location")


class Mounted:
    """Takes the prefix away from what comes, and puts it in front of the paths that answers name."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if not self._prefix or scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            # In place: what is found out further in, the route for example, is for those further out too.
            scope["path"] = path[len(self._prefix) :] or "/"
            scope["app_root_path"] = self._prefix
            if raw := scope.get("raw_path"):
                scope["raw_path"] = raw[len(self._prefix) :] or b"/"
            await self._app(scope, receive, self._prefixing(send))
        elif path in _PLAIN or path.startswith(_WELL_KNOWN):
            scope["app_root_path"] = self._prefix
            await self._app(scope, receive, send)
        else:
            problem = problem_of(NotFound(f"All of this API's paths begin with {self._prefix}: put that in front."))
            await problem_response(problem, scope.get("state", {}).get("request_id"))(scope, receive, send)

    def _prefixing(self, send: Send) -> Send:
        async def prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name in _PLACES:
                    if (place := headers.get(name, "")).startswith("/"):
                        headers[name] = f"{self._prefix}{place}"
            await send(message)

        return prefixed
