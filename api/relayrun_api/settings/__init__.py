"""Settings of an API process, from the environment (`RELAYRUN_*`)."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from relayrun_api.settings.access import AccessSettings
from relayrun_api.settings.console import ConsoleSettings
from relayrun_api.settings.keep import KeepSettings
from relayrun_api.settings.webhooks import WebhookSettings
from relayrun_core.rotating import RotatingSecret
from relayrun_core.settings import ClusterSettings

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
    #: The token that the API sends to runners.
    runner_token: SecretStr = SecretStr("")
    #: A file with the runners' token, which may change (see `relayrun_core.rotating`).
    runner_token_file: Path | None = None
    #: The most connections to the database, besides one that listens.
    database_connections: int = Field(default=10, ge=4, le=1000)
    #: Origins of pages that may call the API from a browser, as JSON.
    cors_origins: list[str] = ["http://localhost:3000"]
    #: Local mode: any origin on this machine may call.
    cors_allow_localhost: bool = False
    #: More origins, as a regular expression that must match the whole origin.
    cors_origin_regex: re.Pattern[str] | None = None
    #: More headers of answers that pages may read.
    cors_expose_headers: list[str] = []
    #: How long a browser may cache the answer to a CORS preflight.
    cors_max_age_seconds: int = Field(default=600, ge=0, le=86400)
    #: The graph for requests that name none (`/chat`, `/invoke`, `/run-task`).
    default_graph: str | None = None
    #: Parts of the API to turn off.
    disable: list[Part] = []
    #: A prefix for all paths. Probes and /metrics are at their plain paths too.
    mount_prefix: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=256)
    #: Whether to log each request (`relayrun.access`). If unset: only if the log is JSON, as on a cluster.
    access_log: bool | None = None
    #: Whether to log deletions, cancels, and what admins and keys do (`relayrun.audit`). If unset: as `access_log`.
    audit_log: bool | None = None
    #: How long a client has to send the headers of a request. After that, it must send a body, and read an answer, at
    #: 500 bytes a second or more, measured over the same time.
    slow_client_seconds: float = Field(default=30, gt=0, le=100)
    #: How long a search, a count or a list may take in the database.
    search_seconds: float = Field(default=5, ge=0.1, le=30)
    #: How long an agent's own web app may take to start its answer.
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
