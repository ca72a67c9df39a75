"""Authenticates callers by JSON Web Token: how PyJWT checks a token, and which caller it stands for."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import jwt

from relayrun_api.auth.jwks import Jwks, VerifyingKey
from relayrun_api.auth.principal import Principal, Remembered
from relayrun_api.http.errors import Unauthenticated
from relayrun_api.settings.access import AccessSettings
from relayrun_core.rotating import RotatingSecret

_MOST_REMEMBERED = 4096
_LONGEST_TOKEN = 16_384
_LONGEST_SUBJECT = 256
# Whatever a foreign token makes of the library, and of Python's JSON beneath it.
_WRONG = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)


class KeySource(Protocol):
    """Where the keys are that tokens are checked with."""

    @property
    def generation(self) -> int:
        """Another number: other keys."""
        ...

    async def keys_for(self, header: Mapping[str, Any]) -> Sequence[VerifyingKey]:
        """The keys that a token with this header may be signed with. Raises IssuerAway."""
        ...


class Secret:
    """The key of HS256 tokens; two while it is replaced."""

    def __init__(self, secrets: RotatingSecret) -> None:
        for secret in secrets.all():
            # A public key would let everybody sign who has it, which is everybody; PyJWT raises InvalidKeyError.
            jwt.get_algorithm_by_name("HS256").prepare_key(secret)
        self._secrets = secrets

    @property
    def generation(self) -> int:
        """Another number: other secrets."""
        self._secrets.all()
        return self._secrets.generation

    async def keys_for(self, header: Mapping[str, Any]) -> Sequence[VerifyingKey]:
        """The secrets, for tokens that say they were made with one."""
        if header.get("alg") != "HS256":
            return ()
        return [VerifyingKey(secret, ("HS256",)) for secret in self._secrets.all()]


class Tokens:
    """Checks tokens, and remembers the valid ones until they expire or the keys change."""

    def __init__(self, settings: AccessSettings, keys: KeySource) -> None:
        self._settings = settings
        self._keys = keys
        self._remembered: Remembered[Principal] = Remembered(_MOST_REMEMBERED)
        self._generation = keys.generation

    async def verify(self, text: str) -> Principal:
        """Who the token is about. Raises Unauthenticated; IssuerAway while no keys are known."""
        if self._generation != (generation := self._keys.generation):
            self._remembered.clear()
            self._generation = generation
        if principal := self._remembered.get(text, time.time()):
            return principal
        if not text or len(text) > _LONGEST_TOKEN:
            raise _refusal("it is not a JSON Web Token")
        try:
            keys = await self._keys.keys_for(jwt.get_unverified_header(text))
            if not keys:
                raise _refusal("it is signed with a key or an algorithm that is not accepted")
            claims = self._claims(text, keys)
            principal = self._principal(claims)
            until = float(claims["exp"]) + self._settings.jwt_leeway_seconds
        except jwt.ExpiredSignatureError as error:
            raise _refusal("it has expired, get a new one") from error
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError) as error:
            raise _refusal("it has another issuer or audience") from error
        except jwt.MissingRequiredClaimError as error:
            raise _refusal(f"it has no claim {error.claim}") from error
        except _WRONG as error:
            raise _refusal("it is malformed, or its signature is wrong") from error
        self._remembered.put(text, principal, until)
        return principal

    def _claims(self, text: str, keys: Sequence[VerifyingKey]) -> dict[str, Any]:
        for key in keys[:-1]:
            with suppress(jwt.InvalidSignatureError):
                return self._claims_by(text, key)
        return self._claims_by(text, keys[-1])

    def _claims_by(self, text: str, key: VerifyingKey) -> dict[str, Any]:
        settings = self._settings
        required = [
            "exp",
            "sub",
            *(["iss"] if settings.jwt_issuer else []),
            *(["aud"] if settings.jwt_audience else []),
        ]
        return jwt.decode(
            text,
            key.key,
            algorithms=list(key.algorithms),
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience or None,
            leeway=settings.jwt_leeway_seconds,
            options={
                "require": required,
                "verify_aud": bool(settings.jwt_audience),
                "enforce_minimum_key_length": True,
            },
        )

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        subject = claims["sub"]
        if not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
            raise _refusal(f"its subject must have 1 to {_LONGEST_SUBJECT} printable characters")
        name, value = self._settings.jwt_admin_claim, self._settings.jwt_admin_value
        return Principal(subject, admin=bool(name and value and value in _values_of(claims, name)))


@asynccontextmanager
async def open_tokens(settings: AccessSettings) -> AsyncIterator[Tokens]:
    """What checks tokens as the settings say."""
    if settings.jwt_jwks_url is None:
        yield Tokens(settings, Secret(settings.jwt_secrets))
        return
    async with Jwks.open(settings.jwt_jwks_url) as keys:
        yield Tokens(settings, keys)


def _values_of(claims: Mapping[str, Any], name: str) -> list[str]:
    """The values of a claim: one, a list, or words as in `scope`. Dots lead into objects, as Keycloak's roles need."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, bool):
        return [str(found).lower()]
    if isinstance(found, str):
        return [found, *found.split()]
    return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []


def _refusal(why: str) -> Unauthenticated:
    return Unauthenticated(f"The token is not accepted: {why}.", error=f"the token is not accepted: {why}")
