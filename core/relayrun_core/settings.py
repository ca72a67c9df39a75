"""Settings of every part, from the environment (`RELAYRUN_*`)."""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CoreSettings(BaseSettings):
    """What every part that talks to the database needs."""

    model_config = SettingsConfigDict(env_prefix="RELAYRUN_", extra="ignore")

    database_url: SecretStr = SecretStr("postgresql:///relayrun")
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
    #: The agent a runner belongs to; a name of the installation.
    agent: str = "default"


class RunnerSettings(CoreSettings):
    """Settings of a runner process."""

    config_path: Path = Path("langgraph.json")
    #: Hash of the code and settings that this runner was started with.
    build: str = ""
    name: str = "runner"
    host: str = "127.0.0.1"
    port: int = 8123
    token: SecretStr
    #: How many runs execute at once.
    slots: int = 10
    #: How long a cancelled node may take to stop before its process is ended.
    cancel_grace_seconds: float = 5.0
    #: How long a draining runner waits for its runs' next step.
    drain_grace_seconds: float = 55.0
    #: Say nothing when a node blocks the graphs' event loop.
    allow_blocking: bool = False


class ApiSettings(CoreSettings):
    """Settings of an API process."""

    host: str = "127.0.0.1"
    port: int = 8000
    world: Literal["local", "kubernetes"] = "local"
    #: In a cluster: its own namespace, where the operator's Lease is.
    namespace: str = "default"
    #: In a cluster: the namespaces of the Agents, separated by commas; empty: its own.
    watch_namespaces: str = ""
    #: Local mode: where the world lists its runners.
    runners_file: Path | None = None
    runner_token: SecretStr = SecretStr("")
    cors_origins: list[str] = ["http://localhost:3000"]
    #: Local mode: any origin on this machine may call.
    cors_allow_localhost: bool = False
    auth: Literal["none"] = "none"
    default_graph: str | None = None

    @property
    def agent_namespaces(self) -> list[str]:
        """Where Agents are looked for, in this order."""
        given = [name.strip() for name in self.watch_namespaces.split(",") if name.strip()]
        return list(dict.fromkeys(given)) or [self.namespace]
