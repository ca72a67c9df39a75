"""A small OpenID provider: it lets one user in, and takes codes with PKCE alone."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

import jwt
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support.serving import serving

CLIENT = "relayrun-console"


@dataclass
class Issuer:
    """What it has given, and to whom."""

    secret: str
    url: str = ""
    #: Where its token endpoint is: on another host, as some providers have it.
    tokens: str = ""
    #: The challenge of each code.
    codes: dict[str, str] = field(default_factory=dict)
    renewed: int = 0

    async def describes(self, _: Request) -> Response:
        paths = {"authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.tokens}/token"}
        return JSONResponse({"issuer": self.url} | paths)

    async def authorize(self, request: Request) -> Response:
        asked = request.query_params
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self.codes[code] = asked["code_challenge"]
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if form["grant_type"] == "refresh_token":
            self.renewed += 1
            return JSONResponse({"access_token": self._token(), "expires_in": 3600})
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if self.codes.pop(form["code"], None) != challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        # About to expire, so that it is renewed before the first call.
        return JSONResponse({"access_token": self._token(), "refresh_token": "once", "expires_in": 10})

    def _token(self) -> str:
        return jwt.encode({"sub": "alice", "exp": time.time() + 300}, self.secret)


@asynccontextmanager
async def issuing(secret: str) -> AsyncIterator[Issuer]:
    """Serve one whose tokens are signed with a secret."""
    issuer = Issuer(secret)
    routes = [
        Route("/.well-known/openid-configuration", issuer.describes),
        Route("/authorize", issuer.authorize),
        Route("/token", issuer.token, methods=["POST"]),
    ]
    everybody = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])
    async with serving(Starlette(routes=routes, middleware=[everybody])) as port:
        issuer.url, issuer.tokens = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        yield issuer
