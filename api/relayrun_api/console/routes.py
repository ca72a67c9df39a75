"""The console's files, as `npm run build` in `console/` leaves them, and how people sign in there."""

import asyncio
import gzip
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from relayrun_api import __version__, console
from relayrun_api.console.issuer import IssuerHosts
from relayrun_api.http.responses import Json
from relayrun_api.settings import ApiSettings
from relayrun_core.runner_requests import OWN_PREFIX

_UNCHANGING = "public, max-age=31536000, immutable"
# Smaller ones gain nothing.
_WORTH_COMPRESSING_BYTES = 1024
_COMPRESSED_TYPES = ("text/", "application/json", "image/svg+xml")

_NOT_BUILT = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Relayrun</title></head>
<body>
<h1>The console is not built</h1>
<p>This server was installed from a checkout. Run <code>make console</code> there and reload this page.
If you installed it with pip, run <code>pip install ./cli</code> there again, too, and restart the server.</p>
</body>
</html>
"""


@dataclass(frozen=True)
class _Asset:
    body: bytes
    compressed: bytes | None
    media_type: str


def console_routes(settings: ApiSettings) -> list[BaseRoute]:
    """The page and its files; none where the settings switch it off."""
    if not settings.console:
        return []
    headers, issuer = _headers(()), IssuerHosts(settings.oidc_issuer)
    config = {
        "version": __version__,
        "auth": sorted(settings.auth_kinds),
        "oidc": settings.oidc_client_id
        and {"issuer": settings.oidc_issuer, "client_id": settings.oidc_client_id, "scopes": settings.oidc_scopes},
    }

    async def page(_: Request) -> Response:
        try:
            text = await asyncio.to_thread((console.STATIC / "index.html").read_text, "utf-8")
            text = text.replace('"/console/', f'"{settings.mount_prefix}{OWN_PREFIX}/console/')
        except FileNotFoundError:
            return HTMLResponse(_NOT_BUILT, 503, headers)
        return HTMLResponse(text, headers=_headers(await issuer.origins()))

    async def asset(request: Request) -> Response:
        try:
            found = await asyncio.to_thread(_read, request.path_params["name"])
        except (OSError, ValueError):
            return Response("There is no such file: reload the page.\n", 404, headers, "text/plain")
        kept = headers | {"Cache-Control": _UNCHANGING, "Vary": "Accept-Encoding"}
        if found.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.compressed, 200, kept | {"Content-Encoding": "gzip"}, found.media_type)
        return Response(found.body, 200, kept, found.media_type)

    async def known(_: Request) -> Response:
        return Json(config, headers=headers)

    return [
        Route("/console/config.json", known),
        Route("/console/assets/{name}", asset),
        Route("/console", page),
        Route("/console/{page:path}", page),
    ]


@lru_cache(maxsize=256)
def _read(name: str) -> _Asset:
    """A file of the build, whose name has a hash of its content. Raises OSError, or ValueError for no file's name."""
    body = (console.STATIC / "assets" / Path(name).name).read_bytes()
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    worth = len(body) >= _WORTH_COMPRESSING_BYTES and media_type.startswith(_COMPRESSED_TYPES)
    return _Asset(body, gzip.compress(body, 6) if worth else None, media_type)


def _headers(issuer: Sequence[str]) -> dict[str, str]:
    # The page asks the issuer for a token, and nobody else for anything.
    connect = " ".join(("'self'", *issuer))
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
