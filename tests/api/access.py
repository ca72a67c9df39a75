"""Callers: tokens as an issuer makes them, clients that send them, and a key set on a port of its own."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.api.conftest import Api
from tests.support.serving import serving

SECRET = "a secret of forty-eight bytes, or a few more than that"
ISSUER = "https://issuer.example"
AUDIENCE = "relayrun"
#: Longer than a session: modules make their tokens when they are collected.
LIFE_SECONDS = 7200
HS256 = {
    "auth": "jwt",
    "jwt_secret": SECRET,
    "jwt_admin_claim": "roles",
    "jwt_admin_value": "relayrun-admin",
}


def claims_of(subject: str = "alice", **more: Any) -> dict[str, Any]:
    """Claims of a good token; None takes one away."""
    claims = {"sub": subject, "exp": time.time() + LIFE_SECONDS, "iss": ISSUER, "aud": AUDIENCE, **more}
    return {name: value for name, value in claims.items() if value is not None}


def token(
    subject: str = "alice", *, key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **more: Any
) -> str:
    headers = {"kid": kid} if kid else None
    return jwt.encode(claims_of(subject, **more), key, algorithm, headers=headers)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def as_user(subject: str) -> dict[str, str]:
    return bearer(token(subject))


def as_admin(subject: str = "root") -> dict[str, str]:
    return bearer(token(subject, roles=["relayrun-admin"]))


def as_user_for(seconds: float, subject: str = "alice") -> dict[str, str]:
    """Good for that long, and up to a second longer: an expiry counts in whole ones, and the rest is dropped."""
    return bearer(token(subject, exp=math.ceil(time.time() + seconds)))


@asynccontextmanager
async def caller(api: Api, headers: dict[str, str], **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends these headers."""
    async with httpx.AsyncClient(base_url=api.url, headers=headers, timeout=20, **options) as client:
        yield client


class Issuer:
    """Publishes public keys; `answer` replaces them, `asked` counts the questions."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.keys: list[dict[str, Any]] = []
        self.answer: Response | None = None
        self._private: dict[str, Any] = {}

    def add_rsa(self, kid: str | None, *, bits: int = 2048, **more: Any) -> rsa.RSAPrivateKey:
        private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        self._publish(RSAAlgorithm.to_jwk(private.public_key(), as_dict=True), kid, more)
        return private

    def add_ec(self, kid: str) -> ec.EllipticCurvePrivateKey:
        private = ec.generate_private_key(ec.SECP256R1())
        self._publish(ECAlgorithm.to_jwk(private.public_key(), as_dict=True), kid, {"alg": "ES256"})
        return private

    def add_ed25519(self, kid: str) -> ed25519.Ed25519PrivateKey:
        private = ed25519.Ed25519PrivateKey.generate()
        self._publish(OKPAlgorithm.to_jwk(private.public_key(), as_dict=True), kid, {})
        return private

    async def serve(self, _: Request) -> Response:
        self.asked += 1
        return self.answer or JSONResponse({"keys": self.keys})

    def _publish(self, public: Any, kid: str | None, more: dict[str, Any]) -> None:
        named = {"kid": kid} if kid else {}
        self.keys.append({**public, "use": "sig", **named, **more})


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """An issuer on a port of its own."""
    issuer = Issuer()
    app = Starlette(routes=[Route("/keys", issuer.serve)])
    async with serving(app) as port:
        issuer.url = f"http://127.0.0.1:{port}/keys"
        yield issuer
