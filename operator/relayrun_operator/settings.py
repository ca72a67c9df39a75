"""Settings of the operator on Kubernetes, from the environment (`RELAYRUN_*`)."""

from typing import Literal

from pydantic import Field

from relayrun_core.settings import ClusterSettings
from relayrun_operator.engine import LOST_AFTER_SECONDS


class OperatorSettings(ClusterSettings):
    """What the operator is told by its Deployment."""

    #: The name of this replica, different from all others'.
    pod_name: str = "relayrun-operator"
    #: The Secret with the runners' bearer token, in every watched namespace. The operator creates it if it is missing.
    runner_token_secret: str = "relayrun-runner-token"  # noqa: S105 - a name, not a secret
    #: Where runners reach the API, for author code that calls it: `http://<service>.<namespace>.svc:<port>`.
    api_url: str = ""
    #: How long a runner stays on a node that is not ready or unreachable, before Kubernetes deletes it.
    node_loss_seconds: int = Field(default=30, ge=0, le=3600)
    #: The address to listen on.
    host: str = "0.0.0.0"
    #: The port to listen on.
    port: int = 8080
    #: A runner that has not reported for this long is lost. Runners report every 2 s or more often.
    lost_after_seconds: float = Field(default=LOST_AFTER_SECONDS, ge=5, le=600)
    #: The most connections to the database of each runner. If unset, the runners' own default. An Agent's `env` takes
    #: precedence.
    runner_database_connections: int | None = Field(default=None, ge=4, le=1000)
    #: Whether runners prepare statements. If unset, the runners' own default. An Agent's `env` takes precedence.
    runner_database_prepared_statements: bool | None = None
    #: debug, info, warning or error.
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"

    @property
    def runner_defaults(self) -> tuple[tuple[str, str], ...]:
        """Variables of runners that do not say otherwise."""
        said = {
            "RELAYRUN_DATABASE_CONNECTIONS": self.runner_database_connections,
            "RELAYRUN_DATABASE_PREPARED_STATEMENTS": self.runner_database_prepared_statements,
        }
        return tuple((name, str(value).lower()) for name, value in said.items() if value is not None)
