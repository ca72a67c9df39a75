"""Who may call the API, and how much."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from relayrun_core.rotating import RotatingSecret
from relayrun_core.settings import CommaSeparated, CoreSettings

AuthKind = Literal["none", "jwt", "api-key", "custom"]

# RFC 7518 section 3.2: a key as long as the hash. A shorter one can be guessed from any token.
_SHORTEST_SECRET_BYTES = 32
_DEFAULT_RUNS = 100
_DEFAULT_OPEN = 500
_DEFAULT_QUESTIONS = 16


class AccessSettings(CoreSettings):
    """Who may call the API, and how much."""

    world: Literal["local", "kubernetes"] = "local"
    #: Who may call. Required, so that nobody opens an API to everybody by forgetting it.
    auth: Annotated[list[AuthKind], *CommaSeparated] = []
    #: With `custom`: the Agent whose `auth` handlers are called. Needed if there are several Agents.
    auth_agent: str | None = None
    #: The secret of HS256 tokens. Set either this or `jwt_jwks_url`.
    jwt_secret: SecretStr | None = None
    #: A file with that secret, which may change (see `relayrun_core.rotating`).
    jwt_secret_file: Path | None = None
    #: Where the issuer publishes its public keys; https, or http to a Service.
    jwt_jwks_url: str | None = None
    #: The `iss` that a token must have.
    jwt_issuer: str | None = None
    #: A token's `aud` must have one of these.
    jwt_audience: Annotated[list[str], *CommaSeparated] = []
    #: How far the clocks of issuer and API may differ.
    jwt_leeway_seconds: float = Field(default=30, ge=0, le=600)
    #: A caller is an admin if this claim of its token has, or contains, `jwt_admin_value`. Dots lead into objects.
    jwt_admin_claim: str | None = None
    #: The value of that claim.
    jwt_admin_value: str | None = None
    #: How many runs a user may start in the window. 0: no limit. If unset: 100; in local mode no limit.
    rate_limit: int | None = Field(default=None, ge=0)
    rate_limit_window_seconds: int = Field(default=3600, ge=1, le=31 * 86400)
    #: How many crons an owner may have. 0: no limit.
    crons_per_owner: int = Field(default=100, ge=0, le=1_000_000)
    #: How many requests, streams, WebSockets and subscriptions an owner may have open at each API process. Without
    #: authentication, an address counts as an owner. 0: no limit. If unset: 500; in local mode without authentication
    #: no limit.
    open_per_owner: int | None = Field(default=None, ge=0, le=1_000_000)
    #: How many requests that runners answer (states, histories, the store) an owner may have at once at each API
    #: process. More wait a moment. 0: no limit. If unset: 16; in local mode without authentication no limit.
    questions_per_owner: int | None = Field(default=None, ge=0, le=10_000)
    #: Addresses and networks of proxies whose X-Forwarded-For is trusted.
    trusted_proxies: Annotated[list[str], *CommaSeparated] = []

    @property
    def jwt_secrets(self) -> RotatingSecret:
        """The secrets of HS256 tokens."""
        value = self.jwt_secret.get_secret_value() if self.jwt_secret else ""
        return RotatingSecret(value, self.jwt_secret_file, _check_jwt_secret)

    @property
    def auth_kinds(self) -> frozenset[AuthKind]:
        """How callers may prove who they are."""
        return frozenset(self.auth)

    @property
    def runs_per_window(self) -> int:
        """The rate limit; 0: none."""
        if self.rate_limit is None:
            return 0 if self.world == "local" else _DEFAULT_RUNS
        return self.rate_limit

    @property
    def most_open(self) -> int:
        """What one owner may have open at once; 0: no limit."""
        return self._share(self.open_per_owner, _DEFAULT_OPEN)

    @property
    def most_questions(self) -> int:
        """Questions to runners that one owner may have at once; 0: no limit."""
        return self._share(self.questions_per_owner, _DEFAULT_QUESTIONS)

    def _share(self, said: int | None, default: int) -> int:
        if said is not None:
            return said
        # Whoever is alone on a machine shares with nobody.
        return 0 if self.world == "local" and "none" in self.auth else default

    @property
    def rate_limit_window(self) -> timedelta:
        """The rate limit's window."""
        return timedelta(seconds=self.rate_limit_window_seconds)

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        # Never `*`: then every caller could write its address itself.
        return [str(ip_network(entry)) for entry in value]

    @model_validator(mode="after")
    def _auth_is_said(self) -> Self:
        if not self.auth:
            raise ValueError(
                "RELAYRUN_AUTH is not set: use jwt, api-key, jwt,api-key, custom, or none to let everybody in"
            )
        if "none" in self.auth and len(self.auth) > 1:
            raise ValueError("RELAYRUN_AUTH=none cannot be combined with other values: nobody needs a token then")
        if "custom" in self.auth and "jwt" in self.auth:
            raise ValueError("RELAYRUN_AUTH has custom and jwt, which both read the token: leave one out")
        if "jwt" in self.auth:
            _check_jwt(self)
        return self


def _check_jwt(settings: AccessSettings) -> None:
    if bool(settings.jwt_secret or settings.jwt_secret_file) == bool(settings.jwt_jwks_url):
        raise ValueError("RELAYRUN_AUTH=jwt needs either RELAYRUN_JWT_SECRET or RELAYRUN_JWT_JWKS_URL")
    if settings.jwt_secret:
        _check_jwt_secret(settings.jwt_secret.get_secret_value())
    if settings.jwt_secret_file and not settings.jwt_secrets.all():
        raise ValueError(f"RELAYRUN_JWT_SECRET_FILE: there is no secret in {settings.jwt_secret_file}")
    if settings.jwt_jwks_url:
        if not _is_safe(settings.jwt_jwks_url):
            raise ValueError(
                "RELAYRUN_JWT_JWKS_URL must be https: otherwise somebody on the network could replace the keys"
            )
        if not settings.jwt_issuer or not settings.jwt_audience:
            # An issuer signs tokens for other programs too, with the same keys.
            raise ValueError("RELAYRUN_JWT_JWKS_URL needs RELAYRUN_JWT_ISSUER and RELAYRUN_JWT_AUDIENCE")
    if bool(settings.jwt_admin_claim) != bool(settings.jwt_admin_value):
        raise ValueError("RELAYRUN_JWT_ADMIN_CLAIM and RELAYRUN_JWT_ADMIN_VALUE go together")


def _check_jwt_secret(secret: str) -> None:
    if len(secret.encode()) < _SHORTEST_SECRET_BYTES:
        raise ValueError(f"RELAYRUN_JWT_SECRET must have at least {_SHORTEST_SECRET_BYTES} bytes: openssl rand -hex 32")


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    inside = host in ("localhost", "127.0.0.1", "::1") or host.endswith((".svc", ".svc.cluster.local"))
    return (parts.scheme == "https" and bool(host)) or (parts.scheme == "http" and inside)
