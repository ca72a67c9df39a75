"""Settings of the operator on Kubernetes, from the environment (`RELAYRUN_*`)."""

from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class OperatorSettings(BaseSettings):
    """What the operator is told by its Deployment."""

    model_config = SettingsConfigDict(env_prefix="RELAYRUN_", extra="ignore")

    #: Its own namespace: that of its Lease.
    namespace: str = "default"
    #: The namespaces whose AgentRuns it sees to, separated by commas; empty: its own.
    watch_namespaces: str = ""
    #: What tells the replicas apart.
    pod_name: str = "relayrun-operator"
    #: The Secret with the runners' bearer token, in every watched namespace; made when it is missing.
    runner_token_secret: str = "relayrun-runner-token"  # noqa: S105 - a name, not a secret
    host: str = "0.0.0.0"
    port: int = 8080
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"

    @property
    def namespaces(self) -> list[str]:
        """The namespaces it sees to."""
        given = [name.strip() for name in self.watch_namespaces.split(",") if name.strip()]
        return list(dict.fromkeys(given)) or [self.namespace]
