"""Where a client gets a token for /mcp: metadata of the protected resource (RFC 9728), if an issuer is known."""

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relayrun_api.http.responses import Json
from relayrun_api.settings import ApiSettings

_PATH = "/.well-known/oauth-protected-resource"


def issuer_of(settings: ApiSettings) -> str | None:
    """Who gives people tokens that this API takes; None where nobody is known who does."""
    return (settings.oidc_issuer or settings.jwt_issuer) if "jwt" in settings.auth_kinds else None


def metadata_routes(settings: ApiSettings) -> list[BaseRoute]:
    """The metadata, for everybody; nothing without an issuer."""
    issuer = issuer_of(settings)
    if issuer is None or "mcp" in settings.disable:
        return []

    async def metadata(request: Request) -> Response:
        known = {
            "resource": f"{str(request.base_url).rstrip('/')}/mcp",
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
            "resource_name": "Relayrun",
        }
        scopes = {"scopes_supported": settings.oidc_scopes.split()} if settings.oidc_issuer else {}
        return Json({**known, **scopes}, headers={"Cache-Control": "public, max-age=3600"})

    # With the resource's path behind it, as the RFC has it, and without, as clients try it too.
    return [Route(path, metadata) for path in (f"{_PATH}{settings.mount_prefix}/mcp", _PATH)]


def challenging(app: ASGIApp) -> ASGIApp:
    """The app, whose 401 says where the metadata is."""

    async def challenged(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.UNAUTHORIZED:
                settings: ApiSettings = scope["app"].state.services.settings
                headers = MutableHeaders(scope=message)
                if issuer_of(settings) is not None and (challenge := headers.get("www-authenticate")):
                    headers["www-authenticate"] = f'{challenge}, resource_metadata="{_url(Request(scope))}"'
            await send(message)

        await app(scope, receive, answer)

    return challenged


def _url(request: Request) -> str:
    base = request.base_url
    return f"{base.scheme}://{base.netloc}{_PATH}{base.path.rstrip('/')}/mcp"
