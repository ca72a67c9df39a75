"""A runner that is a pod: its state, from the API server and from its own stream."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from relayrun_operator.engine import RunnerView, Startup
from relayrun_operator.kube import names
from relayrun_operator.kube.conditions import seconds
from relayrun_operator.loop.runner import Runner

Object = dict[str, Any]

PULL_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ErrInvalidImageName"}
)
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
#: What a container waits for that failed: the kubelet tries again later, and later each time.
BACK_OFF_REASONS = frozenset({"CrashLoopBackOff"}) | PULL_REASONS | CONFIG_REASONS


#: Of a pod that was never ready, both times are of the kubelet's first look at it.
_READY_SOONEST_SECONDS = 5.0


@dataclass(kw_only=True)
class PodRunner(Runner):
    """A runner pod. `name` is its key, namespace/pod. `pod` is the pod as last seen."""

    uid: str
    ip: str
    pod: Object
    #: How the processes before the present one in its pod ended, by reason, as far as it was told of; None: not known.
    deaths: dict[str, int] | None = None
    #: The pool was told that it came to its end.
    end_noted: bool = False

    @property
    def pod_name(self) -> str:
        """The pod's own name."""
        return self.name.rpartition("/")[2]

    @property
    def namespace(self) -> str:
        """Where the pod is."""
        return self.name.partition("/")[0]

    @property
    def pool_view(self) -> RunnerView:
        """As the pool counts it: a container that restarts is still there, only not ready."""
        if self.ready and not self.down:
            return self.view
        startup = Startup.HELD_UP if self.waits_for else startup_of(self.pod)
        return replace(
            self.view,
            gone=False,
            ready=False,
            startup=startup,
            unready_since=self.unready_since,
            was_ready=self.was_ready,
        )


def agent_of(pod: Mapping[str, Any]) -> str:
    """The key of the Agent that a pod belongs to."""
    metadata = pod["metadata"]
    return f"{metadata['namespace']}/{metadata['labels'][names.AGENT_LABEL]}"


def key_of(pod: Mapping[str, Any]) -> str:
    """A pod's key."""
    metadata = pod["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def has_ended(pod: Mapping[str, Any]) -> bool:
    """Whether no process of this pod will ever run again."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def startup_of(pod: Mapping[str, Any]) -> Startup:
    """How far a pod is that is not ready."""
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    reasons = {((entry.get("state") or {}).get("waiting") or {}).get("reason") for entry in containers}
    if reasons & BACK_OFF_REASONS:
        return Startup.BACK_OFF
    if is_unschedulable(pod):
        return Startup.HELD_UP
    runs = any(entry.get("name") == names.CONTAINER and "running" in (entry.get("state") or {}) for entry in containers)
    return Startup.RUNNING if runs else Startup.CREATED


def is_unschedulable(pod: Mapping[str, Any]) -> bool:
    """Whether the scheduler has found no node for it."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(entry["type"] == "PodScheduled" and entry.get("reason") == "Unschedulable" for entry in conditions)


def is_serving(pod: Mapping[str, Any]) -> bool:
    """Whether the kubelet has found the runner ready, and has not found otherwise since.

    The condition `Ready` also becomes false when the node falls silent, which says nothing of the runner.
    """
    status = pod.get("status") or {}
    conditions = status.get("conditions") or ()
    if any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions):
        return True
    containers = status.get("containerStatuses") or ()
    return any(entry.get("name") == names.CONTAINER and entry.get("ready") for entry in containers)


def has_been_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod is ready, or was: its condition `Ready` has changed since the pod began."""
    status = pod.get("status") or {}
    began = seconds(status.get("startTime"))
    for entry in status.get("conditions") or ():
        if entry["type"] == "Ready" and entry["status"] == "False" and began is not None:
            changed = seconds(entry.get("lastTransitionTime"))
            return changed is not None and changed - began >= _READY_SOONEST_SECONDS
    return is_serving(pod)


def owner_run(pod: Mapping[str, Any]) -> str | None:
    """The uid of the AgentRun that owns the pod."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner["kind"] == "AgentRun"), None)
