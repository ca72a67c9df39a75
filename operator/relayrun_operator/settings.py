"""Settings of the operator on Kubernetes, from the environment (`RELAYRUN_*`)."""

from typing import Literal

from relayrun_core.settings import ClusterSettings


class OperatorSettings(ClusterSettings):
    """What the operator is told by its Deployment."""

    #: What tells the replicas apart.
    pod_name: str = "relayrun-operator"
    #: The Secret with the runners' bearer token, in every watched namespace; made when it is missing.
    runner_token_secret: str = "relayrun-runner-token"  # noqa: S105 - a name, not a secret
    #: Where runners reach the API, for author code that calls it: `http://<service>.<namespace>.svc:<port>`.
    api_url: str = ""
    host: str = "0.0.0.0"
    port: int = 8080
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
