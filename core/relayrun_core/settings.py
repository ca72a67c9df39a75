"""Settings of every part, from the environment (`RELAYRUN_*`)."""

import base64
import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from relayrun_core.connecting import ConnectionSettings
from relayrun_core.rotating import RotatingSecret

AuthKind = Literal["none", "jwt", "api-key", "custom"]

#: Providers of language models whose variables are known.
LLM_PROVIDERS = ("anthropic", "azure", "deepseek", "google", "groq", "mistral", "ollama", "openai", "xai")

# RFC 7518 section 3.2: a key as long as the hash. A shorter one can be guessed from any token.
_SHORTEST_SECRET_BYTES = 32
_DEFAULT_RUNS = 100
_DEFAULT_OPEN = 500
_DEFAULT_QUESTIONS = 16
# Standard Webhooks: 24 to 64 bytes, as they are or behind a prefix.
_SHORTEST_WEBHOOK_SECRET_BYTES = 24
_WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - no secret

#: A hundred years.
LONGEST_TTL_MINUTES = 100 * 365 * 24 * 60


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


#: A list that is written with commas in the environment.
CommaSeparated = (NoDecode, BeforeValidator(_split))


class CoreSettings(BaseSettings):
    """What every part that talks to the database needs."""

    model_config = SettingsConfigDict(env_prefix="RELAYRUN_", extra="ignore")

    #: The database: `postgresql://user:password@host:5432/name`. Postgres 17 or newer.
    database_url: SecretStr = SecretStr("postgresql:///relayrun")
    #: A file with the URL, read for each new connection; where it exists it wins over `database_url`.
    database_url_file: Path | None = None
    #: Postgres itself, for LISTEN and migrations, where `database_url` is a pooler's (PgBouncer in transaction mode).
    database_direct_url: SecretStr | None = None
    #: A file with that URL.
    database_direct_url_file: Path | None = None
    #: Whether statements are prepared. None said: unless a pooler is in between.
    database_prepared_statements: bool | None = None
    #: Connections that were not needed for so long are closed, all but one or two.
    database_idle_seconds: float = Field(default=60, gt=0, le=86400)
    #: debug, info, warning or error.
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
    #: The agent a runner belongs to; a name of the installation.
    agent: str = "default"

    @property
    def database(self) -> ConnectionSettings:
        """How the database is reached."""
        return self._connections(self.database_url, self.database_url_file)

    @property
    def direct_database(self) -> ConnectionSettings:
        """The same without a pooler in between."""
        if self.database_direct_url is None and self.database_direct_url_file is None:
            return self.database
        return self._connections(self.database_direct_url or SecretStr(""), self.database_direct_url_file)

    def _connections(self, url: SecretStr, url_file: Path | None) -> ConnectionSettings:
        return ConnectionSettings(
            url.get_secret_value(),
            url_file,
            prepared_statements=self.database_prepared_statements,
            idle_seconds=self.database_idle_seconds,
        )


class RunnerSettings(CoreSettings):
    """Settings of a runner process."""

    #: The agent's langgraph.json.
    config_path: Path = Path("langgraph.json")
    #: Hash of the code and settings that this runner was started with.
    build: str = ""
    name: str = "runner"
    #: The address to listen on.
    host: str = "127.0.0.1"
    #: The port to listen on.
    port: int = 8123
    #: What callers show; a file with it wins, and may change (see `relayrun_core.rotating`).
    token: SecretStr = SecretStr("")
    #: A file with that token, which may change.
    token_file: Path | None = None
    #: Where author code reaches the API, when it makes a client without an address: `http://host:port`.
    api_url: str = ""
    #: How many runs execute at once.
    slots: int = 10
    #: How many connections to the database it may have. A run needs one only while it reads or writes.
    database_connections: int = Field(default=8, ge=4, le=1000)
    #: How much an attempt's code may print and log before further lines of its run's log are dropped; 0: none is kept.
    run_log_bytes: int = Field(default=1_000_000, ge=0, le=100_000_000)
    #: How long a cancelled node may take to stop before its process is ended.
    cancel_grace_seconds: float = 5.0
    #: How long a draining runner waits for its runs' next step.
    drain_grace_seconds: float = 55.0
    #: Started by `relayrun dev`: the variables of `env` win over the environment's, as in `langgraph dev`.
    in_dev: bool = False
    #: Further modules that are imported before a runner is forked.
    preload: Annotated[list[str], *CommaSeparated] = []
    #: How the processes before this one in its pod ended, by reason: from the process that has forked it.
    deaths: dict[str, int] = {}

    @property
    def tokens(self) -> RotatingSecret:
        """What callers show, and what calls of author code are signed with."""
        return RotatingSecret(self.token.get_secret_value(), self.token_file)

    #: Say nothing when a node blocks the graphs' event loop.
    allow_blocking: bool = False
    #: Which language models are asked whether they answer: `auto` (those that the environment and the installed
    #: clients tell of), `off`, or among others providers by name and OpenAI-compatible addresses, each with the name
    #: of the variable that has its key: `https://llm.example/v1 LLM_KEY`.
    llm_checks: Annotated[list[str], *CommaSeparated] = ["auto"]
    #: How often at most.
    llm_check_seconds: float = Field(default=30, gt=0, le=3600)
    #: How long they may take to answer.
    llm_check_limit_seconds: float = Field(default=2, gt=0, le=60)

    @field_validator("llm_checks")
    @classmethod
    def _are_endpoints(cls, value: list[str]) -> list[str]:
        for check in value:
            if check in ("auto", "off", *LLM_PROVIDERS):
                continue
            address, *variables = check.split()
            if not address.startswith(("http://", "https://")) or len(variables) > 1:
                known = ", ".join(LLM_PROVIDERS)
                raise ValueError(f"say auto, off, {known}, or an address and the variable that has its key")
        if "off" in value and len(value) > 1:
            raise ValueError("off stands alone: with it nothing is asked")
        return value


class ClusterSettings(BaseSettings):
    """Where a part of an installation in a cluster is, and where its Agents are."""

    model_config = SettingsConfigDict(env_prefix="RELAYRUN_", extra="ignore")

    #: Its own namespace, where the operator's Lease is.
    namespace: str = "default"
    #: The namespaces of Agents and AgentRuns, separated by commas; empty: its own.
    watch_namespaces: Annotated[list[str], *CommaSeparated] = []

    @property
    def namespaces(self) -> list[str]:
        """The namespaces of Agents and AgentRuns, each once."""
        return list(dict.fromkeys(self.watch_namespaces)) or [self.namespace]


class AccessSettings(CoreSettings):
    """Who may call the API, and how much."""

    world: Literal["local", "kubernetes"] = "local"
    #: Has to be said: nobody shall let everybody in by forgetting it.
    auth: Annotated[list[AuthKind], *CommaSeparated] = []
    #: With `custom`: the Agent whose `auth` is asked, where there are several.
    auth_agent: str | None = None
    #: Either the secret of HS256 tokens or where the issuer publishes its public keys.
    jwt_secret: SecretStr | None = None
    #: A file with that secret, which may change (see `relayrun_core.rotating`).
    jwt_secret_file: Path | None = None
    #: Where the issuer publishes its public keys; https, or http to a Service.
    jwt_jwks_url: str | None = None
    #: Which `iss` a token must have.
    jwt_issuer: str | None = None
    #: A token must be for one of these.
    jwt_audience: Annotated[list[str], *CommaSeparated] = []
    #: How far the clocks of issuer and API may differ.
    jwt_leeway_seconds: float = Field(default=30, ge=0, le=600)
    #: Whose token has this value in this claim (or among the claim's values) is an admin. Dots lead into objects.
    jwt_admin_claim: str | None = None
    #: The value of that claim.
    jwt_admin_value: str | None = None
    #: Accepted run starts a user in the window; 0: no limit. None said: 100, in local mode no limit.
    rate_limit: int | None = Field(default=None, ge=0)
    rate_limit_window_seconds: int = Field(default=3600, ge=1, le=31 * 86400)
    #: Crons that one owner may have; 0: no limit.
    crons_per_owner: int = Field(default=100, ge=0, le=1_000_000)
    #: What one owner may have open at once at each API process: requests, streams, WebSockets and their subscriptions;
    #: without authentication an address. 0: no limit. None said: 500, in local mode without authentication no limit.
    open_per_owner: int | None = Field(default=None, ge=0, le=1_000_000)
    #: Questions to agents' runners (states, histories, the store) that one owner may have at once at each API process;
    #: more wait a moment. 0: no limit. None said: 16, in local mode without authentication no limit.
    questions_per_owner: int | None = Field(default=None, ge=0, le=10_000)
    #: Addresses and networks of proxies whose X-Forwarded-For is believed.
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
                "RELAYRUN_AUTH is not set: say jwt, api-key, jwt,api-key, custom, or none to let everybody in"
            )
        if "none" in self.auth and len(self.auth) > 1:
            raise ValueError("RELAYRUN_AUTH=none stands alone: with it nobody is asked for a token")
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
            raise ValueError("RELAYRUN_JWT_JWKS_URL must be https: whoever changes the keys on the way is anybody")
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


class KeepSettings(BaseSettings):
    """How long threads and their runs' events are kept."""

    model_config = SettingsConfigDict(env_prefix="RELAYRUN_", extra="ignore")

    #: Threads that say nothing themselves are deleted so long after their last update; None: never.
    thread_ttl_minutes: float | None = Field(default=None, gt=0, le=LONGEST_TTL_MINUTES)
    #: Threads of stateless runs are deleted so long after their last update.
    stateless_keep_seconds: float = Field(default=600, ge=0, le=LONGEST_TTL_MINUTES * 60)
    #: How often each API process looks for threads whose time is over.
    thread_sweep_seconds: float = Field(default=300, gt=0, le=86400)
    #: How long after a run's end its events can be replayed; the run, its result and its thread stay. 0: for ever.
    journal_keep_hours: float = Field(default=168, ge=0, le=LONGEST_TTL_MINUTES / 60)

    @property
    def journal_keep(self) -> timedelta | None:
        """How long the events of a run that has ended are kept; None: for ever."""
        return timedelta(hours=self.journal_keep_hours) if self.journal_keep_hours else None

    @property
    def thread_ttl(self) -> timedelta | None:
        """How long threads are kept that say nothing themselves; None: for ever."""
        return None if self.thread_ttl_minutes is None else timedelta(minutes=self.thread_ttl_minutes)

    @property
    def stateless_keep(self) -> timedelta:
        """How long threads of stateless runs are kept."""
        return timedelta(seconds=self.stateless_keep_seconds)


class WebhookSettings(BaseSettings):
    """Where webhooks may go, and how they are signed."""

    model_config = SettingsConfigDict(env_prefix="RELAYRUN_", extra="ignore")

    world: Literal["local", "kubernetes"] = "local"
    #: Webhooks are signed with it: a text, or `whsec_` and base64.
    webhook_secret: SecretStr | None = None
    #: A file with that secret, which may change (see `relayrun_core.rotating`).
    webhook_secret_file: Path | None = None
    #: Receivers in private networks, on this machine and in the cluster too, with http. None said: in local mode those
    #: of private networks.
    webhook_allow_private: bool | None = None
    #: Only these receivers: names, or `*.example.com` for all names below one; none: all.
    webhook_allow_hosts: Annotated[list[str], *CommaSeparated] = []

    @property
    def private_webhooks(self) -> bool:
        """Whether receivers may be in networks that only we reach."""
        return self.world == "local" if self.webhook_allow_private is None else self.webhook_allow_private

    @property
    def webhook_secrets(self) -> RotatingSecret:
        """What webhooks are signed with."""
        value = self.webhook_secret.get_secret_value() if self.webhook_secret else ""
        return RotatingSecret(value, self.webhook_secret_file, _check_webhook_secret)

    @field_validator("webhook_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_webhook_secret(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _file_has_a_secret(self) -> Self:
        # Unsigned webhooks are refused by receivers, for good.
        if self.webhook_secret_file and not self.webhook_secrets.all():
            raise ValueError(f"RELAYRUN_WEBHOOK_SECRET_FILE: there is no secret in {self.webhook_secret_file}")
        return self


def signing_key(secret: str) -> bytes:
    """The key that a webhook secret stands for. Raises ValueError."""
    if not secret.startswith(_WEBHOOK_SECRET_PREFIX):
        return secret.encode()
    return base64.b64decode(secret.removeprefix(_WEBHOOK_SECRET_PREFIX), validate=True)


def _check_webhook_secret(secret: str) -> None:
    if len(signing_key(secret)) < _SHORTEST_WEBHOOK_SECRET_BYTES:
        raise ValueError(f"it must have at least {_SHORTEST_WEBHOOK_SECRET_BYTES} bytes: openssl rand -hex 32")


class ConsoleSettings(CoreSettings):
    """Whether people may look at this installation in a browser, and how they sign in there."""

    #: Whether there is a page at /console.
    console: bool = True
    #: The page signs people in at this issuer (OpenID Connect: authorization code with PKCE) as this public client. Its
    #: tokens must be ones that the API takes.
    oidc_issuer: str | None = None
    #: The public client's id at the issuer.
    oidc_client_id: str | None = None
    #: What the page asks the issuer for.
    oidc_scopes: str = "openid profile"

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("set both RELAYRUN_OIDC_ISSUER and RELAYRUN_OIDC_CLIENT_ID, or neither")
        if self.oidc_issuer is not None and not self.oidc_issuer.startswith(("https://", "http://")):
            raise ValueError("RELAYRUN_OIDC_ISSUER must be a URL that begins with https://")
        return self


#: What `http.disable_*` of `langgraph.json` switches off.
Part = Literal["a2a", "assistants", "mcp", "meta", "runs", "store", "threads", "webhooks"]


class ApiSettings(AccessSettings, ClusterSettings, ConsoleSettings, KeepSettings, WebhookSettings):
    """Settings of an API process."""

    #: The address to listen on.
    host: str = "127.0.0.1"
    #: The port to listen on.
    port: int = 8000
    #: Local mode: where the world lists its runners.
    runners_file: Path | None = None
    #: What the API shows to runners.
    runner_token: SecretStr = SecretStr("")
    #: A file with the runners' token, which may change (see `relayrun_core.rotating`).
    runner_token_file: Path | None = None
    #: How many connections to the database it may have, beside one that listens.
    database_connections: int = Field(default=10, ge=4, le=1000)
    #: Pages that may call the API from a browser; in JSON.
    cors_origins: list[str] = ["http://localhost:3000"]
    #: Local mode: any origin on this machine may call.
    cors_allow_localhost: bool = False
    #: Further origins, as a regular expression for all of an origin.
    cors_origin_regex: re.Pattern[str] | None = None
    #: Further headers of answers that pages may read.
    cors_expose_headers: list[str] = []
    #: How long a browser may remember what it was allowed.
    cors_max_age_seconds: int = Field(default=600, ge=0, le=86400)
    #: The graph of requests that name none (`/chat`, `/invoke`, `/run-task`).
    default_graph: str | None = None
    #: Parts of the API that are not served.
    disable: list[Part] = []
    #: In front of all paths; probes and /metrics are at their plain paths too.
    mount_prefix: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=256)
    #: Whether each request is logged (`relayrun.access`). None said: where the log is JSON, as in a cluster.
    access_log: bool | None = None
    #: Whether what admins and keys do, deletions and cancels are logged (`relayrun.audit`). None said: as above.
    audit_log: bool | None = None
    #: How long a client has for all of a request's head; in each so long a body has to come and an answer to be read at
    #: 500 bytes a second at least.
    slow_client_seconds: float = Field(default=30, gt=0, le=100)
    #: How long the database may take for a search, a count or a list.
    search_seconds: float = Field(default=5, ge=0.1, le=30)
    #: How long an agent's own web app may take to begin its answer.
    custom_route_seconds: float = Field(default=60, gt=0, le=3600)

    @property
    def logs_access(self) -> bool:
        """Whether each request is logged."""
        return self.log_format == "json" if self.access_log is None else self.access_log

    @property
    def logs_audit(self) -> bool:
        """Whether there is an audit trail."""
        return self.log_format == "json" if self.audit_log is None else self.audit_log

    @property
    def runner_tokens(self) -> RotatingSecret:
        """What runners want to hear."""
        return RotatingSecret(self.runner_token.get_secret_value(), self.runner_token_file)
