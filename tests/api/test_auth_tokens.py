"""JSON Web Tokens with a shared secret: which are accepted, what refusals look like, who an admin is."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from langgraph_sdk import get_client

from relayrun_api.auth.tokens import Secret, Tokens
from relayrun_api.http.errors import Unauthenticated
from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from tests.api.access import AUDIENCE, HS256, ISSUER, LIFE_SECONDS, SECRET, as_admin, as_user, bearer, claims_of, token
from tests.api.conftest import Api, opened
from tests.api.test_refusals import check_problem
from tests.support.postgres import fresh_database

CHECKED = {**HS256, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}


@pytest.fixture(scope="module")
async def guarded(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    async with fresh_database(postgres) as url, opened(ApiSettings(database_url=url, **CHECKED)) as api:
        yield api


def unsigned(algorithm: str, claims: dict[str, Any] | None = None) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims or claims_of())}."


def signed_with_a_public_key() -> str:
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header, payload, _ = token().split(".")
    hmac = jwt.get_algorithm_by_name("HS256")
    signature = hmac.sign(f"{header}.{payload}".encode(), pem)
    return f"{header}.{payload}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


WRONG = {
    "expired": token(exp=time.time() - 60),
    "without an expiry": token(exp=None),
    "not valid yet": token(nbf=time.time() + 86400),
    "of another issuer": token(iss="https://other.example"),
    "without an issuer": token(iss=None),
    "for another audience": token(aud="other"),
    "without an audience": token(aud=None),
    "without a subject": token(sub=None),
    "with an empty subject": token(""),
    "with a NUL in its subject": token("a\0b"),
    "with a lone surrogate in its subject": token("\ud800"),
    "with a subject too long": token("x" * 257),
    "with another secret": token(key="another secret of thirty-two bytes!!"),
    "of another algorithm": token(algorithm="HS384"),
    "unsigned": unsigned("none"),
    "unsigned, loudly": unsigned("NONE"),
    "without a signature": unsigned("HS256"),
    "signed with a public key": signed_with_a_public_key(),
    "with an expiry that never comes": token(exp=float("inf")),
    "that is no token": "abc",
    "that is three dots": "...",
    "too long": token(filler="x" * 20_000),
    "with a header too deep": base64.urlsafe_b64encode(b"[" * 10_000).decode() + ".e30.e30",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
async def test_a_token_is_refused(guarded: Api, text: str) -> None:
    response = await guarded.http.post("/threads/search", json={}, headers=bearer(text))
    check_problem(response, 401, "unauthenticated")
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="relayrun", error="invalid_token", error_description="')
    assert challenge.count('"') == 6


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}, {"X-Api-Key": "lsv2_of_langsmith"}])
async def test_without_a_token_the_answer_says_what_to_send(guarded: Api, headers: dict[str, str]) -> None:
    response = await guarded.http.post("/chat", json={"message": "hi"}, headers=headers)
    check_problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="relayrun"'


async def test_a_token_in_the_address_is_not_taken(guarded: Api) -> None:
    for name in ("token", "access_token", "api_key"):
        response = await guarded.http.get("/threads/a", params={name: token()})
        assert response.status_code == 401


async def test_a_page_may_read_why_it_was_refused(guarded: Api) -> None:
    response = await guarded.http.post("/chat", json={}, headers={"Origin": "http://localhost:3000"})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (401, "http://localhost:3000")
    preflight = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    preflight["Access-Control-Request-Headers"] = "authorization,content-type,idempotency-key"
    assert (await guarded.http.options("/chat", headers=preflight)).status_code == 200


async def test_the_body_of_a_stranger_is_not_waited_for(guarded: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(guarded.url.rsplit(":", 1)[1]))
    writer.write(b"POST /chat HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n")
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_a_good_token_makes_its_subject_the_owner(guarded: Api) -> None:
    for headers in (as_user("alice"), {"Authorization": f"bearer {token(aud=['other', AUDIENCE])}"}):
        thread = (await guarded.http.post("/threads", json={}, headers=headers)).json()
        row = await guarded.database.fetch_one("SELECT owner FROM threads WHERE thread_id = %s", (thread["thread_id"],))
        assert row == {"owner": "alice"}


async def test_the_sdk_sends_a_token_beside_the_key_that_it_finds_in_the_environment(
    guarded: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_of_langsmith")
    sdk = get_client(url=guarded.url, headers=as_user("alice"))
    thread = await sdk.threads.create()
    run = await sdk.runs.create(thread["thread_id"], "steps", input={})
    assert (await sdk.runs.get(thread["thread_id"], run["run_id"]))["status"] == "pending"
    await sdk.aclose()


async def test_the_clocks_may_differ_by_the_leeway(guarded: Api) -> None:
    for late in (token(exp=time.time() - 10), token(nbf=time.time() + 10), token(iat=time.time() + 10)):
        assert (await guarded.http.post("/threads/search", json={}, headers=bearer(late))).status_code == 200


@pytest.mark.parametrize(
    ("claim", "claims", "admin"),
    [
        ("roles", {"roles": ["user", "relayrun-admin"]}, True),
        ("roles", {"roles": "relayrun-admin"}, True),
        ("roles", {"roles": ["user"]}, False),
        ("roles", {"roles": "not-relayrun-admin"}, False),
        ("roles", {"roles": {"relayrun-admin": True}}, False),
        ("roles", {}, False),
        ("scope", {"scope": "read relayrun-admin"}, True),
        ("realm_access.roles", {"realm_access": {"roles": ["relayrun-admin"]}}, True),
        ("https://example.com/roles", {"https://example.com/roles": ["relayrun-admin"]}, True),
        ("realm_access.roles", {"realm_access": "relayrun-admin"}, False),
    ],
)
async def test_an_admin_is_who_has_the_value_in_the_claim(claim: str, claims: dict[str, Any], *, admin: bool) -> None:
    settings = ApiSettings(**{**CHECKED, "jwt_admin_claim": claim})
    assert settings.jwt_secret is not None
    principal = await Tokens(settings, Secret(settings.jwt_secrets)).verify(token(**claims))
    assert (principal.owner, principal.admin) == ("alice", admin)


async def test_a_token_is_checked_once_and_forgotten_when_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ApiSettings(**HS256, jwt_leeway_seconds=0)
    tokens = Tokens(settings, Secret(settings.jwt_secrets))
    text = token()
    checked: list[Any] = []
    decode = jwt.decode
    monkeypatch.setattr(jwt, "decode", lambda *args, **options: checked.append(args) or decode(*args, **options))
    assert await tokens.verify(text) == await tokens.verify(text)
    assert len(checked) == 1
    later = time.time() + LIFE_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: (_ for _ in ()).throw(jwt.ExpiredSignatureError()))
    with pytest.raises(Unauthenticated, match="expired"):
        await tokens.verify(text)


async def test_status_shows_more_to_those_who_may_see_it(guarded: Api) -> None:
    nobody = (await guarded.http.get("/status")).json()
    assert list(nobody) == ["status"]
    user = (await guarded.http.get("/status", headers=as_user("alice"))).json()
    admin = (await guarded.http.get("/status", headers=as_admin())).json()
    assert list(user) == list(admin)
    assert "reason" not in user["checks"]["runners"]
    assert "reason" not in user["checks"]["vector_store"]
    assert user["checks"]["runners"]["status"] == admin["checks"]["runners"]["status"] == "down"
    assert admin["checks"]["runners"]["reason"]
    assert (await guarded.http.get("/status", headers=bearer("wrong"))).status_code == 401
    for path in ("/ok", "/info", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert (await guarded.http.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "RELAYRUN_AUTH is not set"),
        ({"auth": "everybody"}, "none.*jwt.*api-key"),
        ({"auth": "none,jwt", "jwt_secret": SECRET}, "cannot be combined"),
        ({"auth": "jwt"}, "needs either RELAYRUN_JWT_SECRET or RELAYRUN_JWT_JWKS_URL"),
        ({"auth": "jwt", "jwt_secret": SECRET, "jwt_jwks_url": "https://a.example/keys"}, "needs either"),
        ({"auth": "jwt", "jwt_secret": "short"}, "at least 32 bytes"),
        ({"auth": "jwt", "jwt_jwks_url": "http://a.example/keys"}, "must be https"),
        ({"auth": "jwt", "jwt_jwks_url": "https://a.example/keys"}, "RELAYRUN_JWT_ISSUER and RELAYRUN_JWT_AUDIENCE"),
        ({"auth": "jwt", "jwt_secret": SECRET, "jwt_admin_claim": "roles"}, "go together"),
        ({"auth": "custom,jwt", "jwt_secret": SECRET}, "custom and jwt"),
        ({"auth": "none", "trusted_proxies": "*"}, "does not appear to be an IPv4 or IPv6 network"),
        ({"auth": "none", "rate_limit": -1}, "greater than or equal to 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ApiSettings(**given)


def test_the_process_says_what_is_wrong_with_its_settings_and_no_secret() -> None:
    environment = {**os.environ, "RELAYRUN_AUTH": "jwt", "RELAYRUN_JWT_SECRET": "hunter2"}
    command = [sys.executable, "-m", "relayrun_api"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "RELAYRUN_JWT_SECRET must have at least 32 bytes" in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_the_document_says_which_routes_need_a_token(guarded: Api) -> None:
    document = (await guarded.http.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document["paths"]["/chat"]["post"]["security"] == [{"bearer": []}]
    assert "security" not in document["paths"]["/ok"]["get"]


def test_a_secret_that_is_a_public_key_is_refused() -> None:
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    settings = ApiSettings(auth="jwt", jwt_secret=pem)
    with pytest.raises(jwt.InvalidKeyError):
        Secret(settings.jwt_secrets)
