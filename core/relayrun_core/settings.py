"""Settings that several parts have, from the environment (`RELAYRUN_*`)."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from relayrun_core.connecting import ConnectionSettings


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
    #: A file with the URL, read for each new connection. If it exists, it takes precedence over `database_url`.
    database_url_file: Path | None = None
    #: The URL of Postgres itself, for LISTEN and migrations, if `database_url` is a pooler's (PgBouncer in transaction
    #: mode).
    database_direct_url: SecretStr | None = None
    #: A file with that URL.
    database_direct_url_file: Path | None = None
    #: Whether to prepare statements. If unset: unless there is a pooler.
    database_prepared_statements: bool | None = None
    #: Close connections that were not needed for this long, except one or two.
    database_idle_seconds: float = Field(default=60, gt=0, le=86400)
    #: debug, info, warning or error.
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
    #: The agent that a runner belongs to; a name that is unique in the installation.
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


class ClusterSettings(BaseSettings):
    """Where a part of an installation in a cluster is, and where its Agents are."""

    model_config = SettingsConfigDict(env_prefix="RELAYRUN_", extra="ignore")

    #: The installation's own namespace, where the operator's Lease is.
    namespace: str = "default"
    #: The namespaces of Agents and AgentRuns, separated by commas. If empty, its own namespace.
    watch_namespaces: Annotated[list[str], *CommaSeparated] = []

    @property
    def namespaces(self) -> list[str]:
        """The namespaces of Agents and AgentRuns, each once."""
        return list(dict.fromkeys(self.watch_namespaces)) or [self.namespace]
