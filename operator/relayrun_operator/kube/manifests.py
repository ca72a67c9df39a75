"""The objects that the operator makes, as they are sent to the API server. Pure; golden copies are in the tests."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from relayrun_core.kinds import API_VERSION, AgentSpec
from relayrun_operator.kube import names
from relayrun_operator.kube.merge import merge

Object = dict[str, Any]

#: The uid of the runner image's user.
_USER = 10001
_GRACE_SECONDS = 60

#: A quota refuses pods without requests. Author code decides what a runner really needs: podTemplate.
_REQUESTS = {"cpu": "100m", "memory": "256Mi"}

_HASH_LENGTH = 8
#: Where the database's Secret is mounted. What the kubelet writes anew there is used by the next connection.
_DATABASE_FOLDER = "/run/relayrun/database"
_TOKEN_FOLDER = "/run/relayrun/runner-token"  # noqa: S105 - a folder


@dataclass(frozen=True)
class Installation:
    """What runners are told of the installation that they belong to."""

    #: The Secret with the runners' bearer token.
    token_secret: str
    #: Where author code reaches the API; empty: nowhere.
    api_url: str = ""
    #: For how long a runner stays on a node that is not ready or not reachable, before Kubernetes deletes it.
    node_loss_seconds: int = 30
    #: More of the runners' variables, which an Agent's own `env` goes before.
    defaults: tuple[tuple[str, str], ...] = ()


def runner_pod(
    agent: Object, spec: AgentSpec, installation: Installation, ordinal: int, revision: str | None = None
) -> Object:
    """A runner's pod; `agent` is the Agent as the API server has it, `spec` the same, parsed, or a `revision`'s."""
    name, namespace = agent["metadata"]["name"], agent["metadata"]["namespace"]
    template = revision or template_hash(agent, spec, installation)
    pod = _template(name, spec, installation, build=template)
    labels = {
        **pod["metadata"].get("labels", {}),
        "app.kubernetes.io/name": "relayrun",
        names.RUNNER_LABEL: names.RUNNER_COMPONENT,
        names.MANAGED_LABEL: names.MANAGER,
        names.AGENT_LABEL: name,
        names.TEMPLATE_LABEL: template,
    }
    metadata = {
        **pod["metadata"],
        "name": names.pod_name(name, template, ordinal),
        "namespace": namespace,
        "labels": labels,
        "ownerReferences": [_controller("Agent", agent)],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}


def template_hash(agent: Object, spec: AgentSpec, installation: Installation) -> str:
    """Changes with anything that a running runner would not have: a new hash replaces runners."""
    template = _template(agent["metadata"]["name"], spec, installation, build="")
    text = json.dumps(template, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:_HASH_LENGTH]


def runner_service(agent: Object) -> Object:
    """The headless Service behind which the API finds ready runners."""
    name = agent["metadata"]["name"]
    labels = {names.AGENT_LABEL: name, names.RUNNER_LABEL: names.RUNNER_COMPONENT}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": names.service_name(name),
            "namespace": agent["metadata"]["namespace"],
            "labels": {"app.kubernetes.io/name": "relayrun", names.MANAGED_LABEL: names.MANAGER, **labels},
            "ownerReferences": [_controller("Agent", agent)],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": False,
            "selector": {names.MANAGED_LABEL: names.MANAGER, **labels},
            "ports": [{"name": names.PORT_NAME, "port": names.PORT, "targetPort": names.PORT_NAME}],
        },
    }


def disruption_budget(agent: Object, min_available: int) -> Object:
    """What a drain of nodes leaves alive of the Agent's runners.

    Of pods that no built-in controller owns, only a number that stays can be said.
    """
    name = agent["metadata"]["name"]
    labels = {names.AGENT_LABEL: name, names.RUNNER_LABEL: names.RUNNER_COMPONENT}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": names.service_name(name),
            "namespace": agent["metadata"]["namespace"],
            "labels": {"app.kubernetes.io/name": "relayrun", names.MANAGED_LABEL: names.MANAGER, **labels},
            "ownerReferences": [_controller("Agent", agent)],
        },
        "spec": {
            "minAvailable": min_available,
            "selector": {"matchLabels": {names.MANAGED_LABEL: names.MANAGER, **labels}},
            # A runner that does not start is in nobody's way.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def token_secret(name: str, namespace: str, token: str) -> Object:
    """The Secret with the bearer token of this installation's runners."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "relayrun", names.MANAGED_LABEL: names.MANAGER},
        },
        "type": "Opaque",
        "stringData": {names.TOKEN_KEY: token},
    }


def run_owner(run_name: str, run_uid: str) -> Object:
    """The owner of a runner of `Pod` isolation from its assignment on: it goes with its AgentRun."""
    return _controller("AgentRun", {"metadata": {"name": run_name, "uid": run_uid}})


def _controller(kind: str, owner: Object) -> Object:
    # `controller`, always: a drain refuses to evict pods that nothing would make again.
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _template(agent: str, spec: AgentSpec, installation: Installation, build: str) -> Object:
    base = {
        "metadata": {"annotations": {names.SAFE_TO_EVICT: "true"}},
        "spec": {
            "automountServiceAccountToken": bool(_given(spec.pod_template, "serviceAccountName")),
            "enableServiceLinks": False,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "imagePullSecrets": [{"name": secret.name} for secret in spec.image_pull_secrets],
            # Kubernetes' own five minutes would keep the room of a lost node's runners taken for as long.
            "tolerations": _tolerations(spec, installation),
            # The loss of a node should leave runners to go on with: and no new one should follow it there.
            "topologySpreadConstraints": [_spread(agent)],
            "containers": [_container(agent, spec, installation, build)],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "database", "secret": _url_file(spec)},
                {"name": "runner-token", "secret": _token_files(installation)},
            ],
        },
    }
    given = {key: dict(spec.pod_template[key]) for key in ("metadata", "spec") if key in spec.pod_template}
    given.get("spec", {}).pop("tolerations", None)  # they stand beside ours
    merged: Object = merge(base, given)
    for key in set(merged["metadata"]) - {"labels", "annotations"}:
        del merged["metadata"][key]
    return merged


def _tolerations(spec: AgentSpec, installation: Installation) -> list[Object]:
    given = [entry for entry in _given(spec.pod_template, "tolerations") or () if isinstance(entry, dict)]
    keys = {entry.get("key") for entry in given if entry.get("effect") in (None, "NoExecute")}
    ours = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": installation.node_loss_seconds}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        if key not in keys
    ]
    return [*given, *ours]


def _spread(agent: str) -> Object:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {names.AGENT_LABEL: agent}},
    }


def _given(template: Object, key: str) -> Any:
    return (template.get("spec") or {}).get(key)


def _url_file(spec: AgentSpec) -> Object:
    # Optional: what waits for a Secret that comes later is the container, which is looked after more often.
    secret = spec.database_secret_ref
    return {"secretName": secret.name, "items": [{"key": secret.key, "path": "url"}], "optional": True}


def _token_files(installation: Installation) -> Object:
    keys = (names.TOKEN_KEY, names.PREVIOUS_KEY)
    # Optional: the second is there only while the token is rotated.
    items = [{"key": key, "path": key} for key in keys]
    return {"secretName": installation.token_secret, "items": items, "optional": True}


def _container(agent: str, spec: AgentSpec, installation: Installation, build: str) -> Object:
    drain_seconds = int(_given(spec.pod_template, "terminationGracePeriodSeconds") or _GRACE_SECONDS) - 5
    database = spec.database_secret_ref
    ours = [
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
        {"name": "RELAYRUN_AGENT", "value": agent},
        {"name": "RELAYRUN_BUILD", "value": build},
        {"name": "RELAYRUN_CONFIG_PATH", "value": spec.config_path},
        # Until the file is there, and for images of versions that know none.
        _from_secret("RELAYRUN_DATABASE_URL", database.name, database.key),
        {"name": "RELAYRUN_DATABASE_URL_FILE", "value": f"{_DATABASE_FOLDER}/url"},
        {"name": "RELAYRUN_DRAIN_GRACE_SECONDS", "value": str(max(1, drain_seconds))},
        {"name": "RELAYRUN_HOST", "value": "0.0.0.0"},
        {"name": "RELAYRUN_LOG_FORMAT", "value": "json"},
        {"name": "RELAYRUN_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "RELAYRUN_PORT", "value": str(names.PORT)},
        {"name": "RELAYRUN_SLOTS", "value": str(spec.slots)},
        _from_secret("RELAYRUN_TOKEN", installation.token_secret, names.TOKEN_KEY),
        {"name": "RELAYRUN_TOKEN_FILE", "value": f"{_TOKEN_FOLDER}/{names.TOKEN_KEY}"},
    ]
    if installation.api_url:
        ours.append({"name": "RELAYRUN_API_URL", "value": installation.api_url})
    taken = {variable["name"] for variable in ours}
    given = [variable.model_dump() for variable in spec.env if variable.name not in taken]
    said = {variable["name"] for variable in given}
    ours += [{"name": name, "value": value} for name, value in installation.defaults if name not in said]
    return {
        "name": names.CONTAINER,
        "image": spec.image,
        "env": [*given, *ours],
        "envFrom": list(spec.env_from),
        "ports": [{"name": names.PORT_NAME, "containerPort": names.PORT}],
        "resources": {"requests": dict(_REQUESTS)},
        # A quick first look: a pool that grows should be of use within a second of its start.
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": names.PORT_NAME}, "periodSeconds": 1},
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": names.PORT_NAME},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "database", "mountPath": _DATABASE_FOLDER, "readOnly": True},
            {"name": "runner-token", "mountPath": _TOKEN_FOLDER, "readOnly": True},
        ],
    }


def _from_secret(variable: str, secret: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
