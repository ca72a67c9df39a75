"""Names of graphs in paths: `agent/graph` comes as one segment, `agent%2Fgraph`, and must stay one.

Pure ASGI. A path is taken apart after `%2F` was read, so that the name would be two segments: the id of its default
assistant stands in for it, which means the same.
"""

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from relayrun_core.ids import default_assistant_id

_ASSISTANTS = "/assistants/"
_SLASH = b"%2f"


class EncodedNames:
    """Puts ids in the place of such names below /assistants."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"].startswith(_ASSISTANTS):
            raw: bytes = scope.get("raw_path") or b""
            if _SLASH in raw.lower():
                scope = {**scope, "path": _with_id(raw)}
        await self._app(scope, receive, send)


def _with_id(raw: bytes) -> str:
    segments = raw.split(b"?", 1)[0].split(b"/")
    # "", "assistants", the name, and what is asked of it.
    name = unquote(segments[2].decode("latin-1"))
    if "/" in name:
        name = str(default_assistant_id(name))
    return "/".join(["", "assistants", name, *(unquote(segment.decode("latin-1")) for segment in segments[3:])])
