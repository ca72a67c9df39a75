"""Names, labels, annotations and paths: one home for each, because other parts and people read them."""

from relayrun_core.kinds import GROUP, VERSION
from relayrun_core.kinds.names import LEASE as _LEASE
from relayrun_core.kinds.names import RUNNER_PORT, runner_service
from relayrun_core.rotating import PREVIOUS

#: On every pod and Service of an Agent.
AGENT_LABEL = f"{GROUP}/agent"
#: On a pod: the hash of the template it was made from.
TEMPLATE_LABEL = f"{GROUP}/template"
#: On an AgentRun: the revision that it goes on under.
REVISION_LABEL = f"{GROUP}/revision"
#: On a ControllerRevision: when another revision took its place.
REPLACED_AT = f"{GROUP}/replaced-at"
#: On a pod: what makes it one of ours, for selectors that need no value.
RUNNER_LABEL = "app.kubernetes.io/component"
RUNNER_COMPONENT = "runner"
MANAGED_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "relayrun-operator"

#: A pod whose end frees its node at once: nothing in it is lost.
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"

CONTAINER = "runner"
PORT_NAME = "runner"
PORT = RUNNER_PORT
LEASE = _LEASE
service_name = runner_service
TOKEN_KEY = "token"  # noqa: S105 - the name of a key, not a secret
#: What is accepted as well while the token is rotated.
PREVIOUS_KEY = PREVIOUS + TOKEN_KEY

MANAGED = f"{MANAGED_LABEL}={MANAGER}"
SELECTOR = f"{MANAGED_LABEL}={MANAGER},{RUNNER_LABEL}={RUNNER_COMPONENT}"


def pod_name(agent: str, template: str, ordinal: int) -> str:
    """A runner's name: at most 45 + 1 + 8 + 1 + 5 characters."""
    return f"{agent}-{template}-{ordinal}"


def agents_path(namespace: str, name: str = "") -> str:
    """Where the API server has Agents."""
    return _path(f"/apis/{GROUP}/{VERSION}", namespace, "agents", name)


def runs_path(namespace: str, name: str = "") -> str:
    """Where the API server has AgentRuns."""
    return _path(f"/apis/{GROUP}/{VERSION}", namespace, "agentruns", name)


def core_path(namespace: str, kind: str, name: str = "") -> str:
    """Where the API server has pods, services, secrets and events."""
    return _path("/api/v1", namespace, kind, name)


def budget_path(namespace: str, name: str = "") -> str:
    """Where the API server has PodDisruptionBudgets."""
    return _path("/apis/policy/v1", namespace, "poddisruptionbudgets", name)


def revision_path(namespace: str, name: str = "") -> str:
    """Where the API server has ControllerRevisions."""
    return _path("/apis/apps/v1", namespace, "controllerrevisions", name)


def lease_path(namespace: str, name: str = "") -> str:
    """Where the API server has Leases."""
    return _path("/apis/coordination.k8s.io/v1", namespace, "leases", name)


def _path(root: str, namespace: str, kind: str, name: str) -> str:
    return f"{root}/namespaces/{namespace}/{kind}" + (f"/{name}" if name else "")
