"""CORS: which web pages may call, by settings, for every answer, errors included."""

from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from relayrun_api.settings import ApiSettings

STUDIO = "https://smith.langchain.com"
_LOCALHOST = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
_EXPOSED = (
    "Location",
    "Content-Location",
    "X-Pagination-Total",
    "X-Pagination-Next",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-Request-ID",
    "Idempotency-Replayed",
    "Mcp-Session-Id",
    "WWW-Authenticate",
)


def cors_options(settings: ApiSettings) -> dict[str, Any]:
    """Arguments for Starlette's CORSMiddleware. No credentials: a token is sent by the page, never by the browser."""
    origins = list(settings.cors_origins)
    regex = settings.cors_origin_regex.pattern if settings.cors_origin_regex else None
    options: dict[str, Any] = {
        "allow_methods": _METHODS,
        "allow_headers": ["*"],
        "expose_headers": (*_EXPOSED, *settings.cors_expose_headers),
        "max_age": settings.cors_max_age_seconds,
        "allow_credentials": False,
    }
    if settings.cors_allow_localhost:
        return options | {
            "allow_origins": [*origins, STUDIO],
            "allow_origin_regex": f"{_LOCALHOST}|{regex}" if regex else _LOCALHOST,
        }
    return options | {"allow_origins": origins, "allow_origin_regex": regex}


class Cors(CORSMiddleware):
    """Starlette's, with leave to call a private network, which Starlette has from 0.51 on."""

    def __init__(self, app: ASGIApp, *, settings: ApiSettings) -> None:
        super().__init__(app, **cors_options(settings))
        # `dev`: Studio is a public page that calls this machine, which browsers ask leave for.
        self.allow_private_network = settings.cors_allow_localhost

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser is told that asks before it calls."""
        response = super().preflight_response(request_headers)
        if self.allow_private_network and "access-control-request-private-network" in request_headers:
            response.headers["Access-Control-Allow-Private-Network"] = "true"
        return response
