"""JSON Web Tokens of an issuer that publishes its keys: rotation, absence, and keys that are not for us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.responses import JSONResponse, PlainTextResponse, Response

from relayrun_api.auth import jwks
from relayrun_api.auth.jwks import FLOOR_SECONDS, Jwks
from relayrun_api.auth.tokens import Tokens, open_tokens
from relayrun_api.http.errors import IssuerAway, Unauthenticated
from relayrun_api.settings import ApiSettings
from tests.api.access import AUDIENCE, ISSUER, Issuer, bearer, issuing, token
from tests.api.conftest import opened
from tests.api.test_refusals import check_problem
from tests.support.waiting import eventually


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as issuer:
        yield issuer


@dataclass
class Checking:
    """Tokens checked with an issuer's keys, on a clock that stands until a test moves it."""

    issuer: Issuer
    keys: Jwks
    tokens: Tokens
    now: float = 1000.0

    async def accepts(self, text: str) -> bool:
        try:
            return (await self.tokens.verify(text)).owner == "alice"
        except Unauthenticated:
            return False


@asynccontextmanager
async def checking(issuer: Issuer) -> AsyncIterator[Checking]:
    settings = ApiSettings(auth="jwt", jwt_jwks_url=issuer.url, jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    async with httpx.AsyncClient(timeout=5) as client:
        keys = Jwks(issuer.url, client, clock=lambda: made.now)
        made = Checking(issuer, keys, Tokens(settings, keys))
        yield made


async def test_tokens_of_every_kind_of_key_are_accepted(issuer: Issuer) -> None:
    made = {
        "RS256": issuer.add_rsa("one"),
        "PS384": issuer.add_rsa("two", alg="PS384"),
        "ES256": issuer.add_ec("three"),
        "EdDSA": issuer.add_ed25519("four"),
    }
    async with checking(issuer) as check:
        for kid, (algorithm, key) in zip(("one", "two", "three", "four"), made.items(), strict=True):
            assert await check.accepts(token(key=key, algorithm=algorithm, kid=kid)), algorithm
    assert issuer.asked == 1


async def test_a_key_signs_only_with_its_own_algorithm_and_id(issuer: Issuer) -> None:
    key, other = issuer.add_rsa("one", alg="RS256"), issuer.add_rsa("two", alg="RS256")
    async with checking(issuer) as check:
        assert not await check.accepts(token(key=key, algorithm="PS256", kid="one"))
        assert not await check.accepts(token(key=key, algorithm="RS256", kid="two"))
        assert not await check.accepts(token(key=other, algorithm="RS256"))  # which of the two?
        assert await check.accepts(token(key=key, algorithm="RS256", kid="one"))


async def test_a_token_without_a_key_id_is_of_the_only_key(issuer: Issuer) -> None:
    key = issuer.add_rsa(None)
    async with checking(issuer) as check:
        assert await check.accepts(token(key=key, algorithm="RS256"))


async def test_a_published_key_is_no_shared_secret(issuer: Issuer) -> None:
    public = issuer.add_rsa("one").public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    hmac = jwt.get_algorithm_by_name("HS256")
    header, payload, _ = token(kid="one").split(".")
    signature = jwt.utils.base64url_encode(hmac.sign(f"{header}.{payload}".encode(), pem)).decode()
    async with checking(issuer) as check:
        assert not await check.accepts(f"{header}.{payload}.{signature}")
        issuer.keys.append({"kty": "oct", "kid": "secret", "k": jwt.utils.base64url_encode(b"s" * 64).decode()})
        assert not await check.accepts(token(key="s" * 64, kid="secret"))
        assert issuer.asked == 0, "what no key of an issuer can have signed asks it nothing"


async def test_keys_for_encryption_and_weak_keys_are_not_for_signatures(issuer: Issuer) -> None:
    encrypting, good = issuer.add_rsa("encrypting", use="enc"), issuer.add_rsa("good")
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        weak = token(key=issuer.add_rsa("weak", bits=1024), algorithm="RS256", kid="weak")
    async with checking(issuer) as check:
        assert await check.accepts(token(key=good, algorithm="RS256", kid="good"))
        assert not await check.accepts(token(key=encrypting, algorithm="RS256", kid="encrypting"))
        assert not await check.accepts(weak)


async def test_after_a_rotation_the_new_key_is_found_and_the_old_one_refused(issuer: Issuer) -> None:
    old = issuer.add_rsa("old")
    async with checking(issuer) as check:
        before = token(key=old, algorithm="RS256", kid="old")
        assert await check.accepts(before)
        issuer.keys.clear()
        new = issuer.add_rsa("new")
        assert await check.accepts(before), "nobody has told us yet"
        check.now += FLOOR_SECONDS
        assert await check.accepts(token(key=new, algorithm="RS256", kid="new"))
        assert not await check.accepts(before), "remembered tokens are forgotten with their keys"


async def test_a_key_that_was_withdrawn_is_refused_when_the_keys_are_read_again(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "FRESH_SECONDS", 0.01)
    withdrawn = issuer.add_rsa("withdrawn")
    issuer.add_rsa("other")
    settings = ApiSettings(auth="jwt", jwt_jwks_url=issuer.url, jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    async with open_tokens(settings) as tokens:
        text = token(key=withdrawn, algorithm="RS256", kid="withdrawn")
        assert (await tokens.verify(text)).owner == "alice"
        del issuer.keys[0]

        async def refused() -> bool:
            try:
                await tokens.verify(text)
            except Unauthenticated:
                return True
            return False

        assert await eventually(refused)


async def test_invented_key_ids_do_not_hammer_the_issuer(issuer: Issuer) -> None:
    issuer.add_rsa("one")
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    invented = [token(key=stranger, algorithm="RS256", kid=f"invented-{number}") for number in range(20)]
    async with checking(issuer) as check:
        assert not any(await asyncio.gather(*(check.accepts(text) for text in invented)))
        assert issuer.asked == 1
        check.now += FLOOR_SECONDS - 0.1
        assert not await check.accepts(invented[0])
        assert issuer.asked == 1
        check.now += 0.2
        assert not await check.accepts(invented[0])
        assert issuer.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("away", 503),
        PlainTextResponse("<html>"),
        JSONResponse({"keys": []}),
        JSONResponse({"keys": "none"}),
        JSONResponse([{"keys": [{"kty": "RSA"}, 1]}]),
        PlainTextResponse("x" * 2_000_000),
        Response(status_code=302, headers={"Location": "http://127.0.0.1:1/"}),
    ],
    ids=["503", "html", "empty", "wrong", "broken", "large", "elsewhere"],
)
async def test_while_the_issuer_is_away_its_keys_are_kept(issuer: Issuer, answer: Response) -> None:
    key = issuer.add_rsa("one")
    async with checking(issuer) as check:
        issuer.answer = answer
        with pytest.raises(IssuerAway):
            await check.tokens.verify(token(key=key, algorithm="RS256", kid="one"))
        issuer.answer = None
        check.now += FLOOR_SECONDS
        assert await check.accepts(token(key=key, algorithm="RS256", kid="one"))
        issuer.answer = answer
        check.now += FLOOR_SECONDS
        assert not await check.accepts(token(key=key, algorithm="RS256", kid="two"))
        assert issuer.asked == 3
        assert await check.accepts(token(key=key, algorithm="RS256", kid="one", more=1))


async def test_an_api_answers_while_its_issuer_is_away(issuer: Issuer, settings: ApiSettings) -> None:
    given: dict[str, Any] = {"auth": ["jwt"], "jwt_issuer": ISSUER, "jwt_audience": [AUDIENCE]}
    key = issuer.add_rsa("one")
    good = bearer(token(key=key, algorithm="RS256", kid="one"))
    async with opened(settings.model_copy(update={**given, "jwt_jwks_url": issuer.url})) as api:
        assert (await api.http.post("/threads/search", json={}, headers=good)).status_code == 200
    async with opened(settings.model_copy(update={**given, "jwt_jwks_url": "http://127.0.0.1:1/keys"})) as api:
        refused = await api.http.post("/threads/search", json={}, headers=good)
        check_problem(refused, 503, "issuer_away")
        assert refused.headers["retry-after"] == "5"
        assert (await api.http.get("/readyz")).status_code == 200
