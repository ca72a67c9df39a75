"""The objects that the operator makes, whole, against the golden ones in tests/data/kube."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from relayrun_core.kinds import AgentSpec
from relayrun_operator.kube.manifests import (
    Installation,
    disruption_budget,
    runner_pod,
    runner_service,
    template_hash,
    token_secret,
)
from relayrun_operator.kube.merge import merge

RELEASE = Installation("runner-token", "http://relayrun-api.relayrun.svc:8000")
GOLDEN = Path(__file__).parents[1] / "data" / "kube"

SPECS: dict[str, dict[str, Any]] = {
    "pod-shared": {"image": "registry.example/support:1.4"},
    "pod-isolated": {
        "image": "registry.example/support:1.4",
        "isolation": "Pod",
        "imagePullSecrets": [{"name": "regcred"}],
        "configPath": "/srv/langgraph.json",
        "databaseSecretRef": {"name": "pg", "key": "url"},
        "env": [{"name": "MODEL", "value": "small"}, {"name": "RELAYRUN_TOKEN", "value": "not theirs to set"}],
        "envFrom": [{"secretRef": {"name": "llm"}}],
        "podTemplate": {
            "metadata": {"name": "ignored", "labels": {"team": "a", "relayrun.dev/agent": "other"}},
            "spec": {
                "serviceAccountName": "support",
                "terminationGracePeriodSeconds": 300,
                "nodeSelector": {"pool": "agents"},
                "volumes": [{"name": "models", "emptyDir": {}}],
                "containers": [
                    {
                        "name": "runner",
                        "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "4Gi"}},
                        "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                    },
                    {"name": "sidecar", "image": "registry.example/proxy:2"},
                ],
            },
        },
    },
}


def agent(spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "support", "namespace": "team", "uid": "a-1", "labels": {"gitops": "x"}}, "spec": spec}


def golden(name: str) -> Any:
    return yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", SPECS)
def test_a_runners_pod_is_as_written_down(name: str) -> None:
    spec = SPECS[name]
    assert runner_pod(agent(spec), AgentSpec.model_validate(spec), RELEASE, 3) == golden(name)


def test_service_budget_and_secret_are_as_written_down() -> None:
    assert runner_service(agent({})) == golden("service")
    assert disruption_budget(agent({}), 2) == golden("budget")
    assert token_secret("runner-token", "team", "s3cret") == golden("secret")


def tolerations_of(*given: dict[str, Any]) -> list[dict[str, Any]]:
    spec = {"image": "support:1", "podTemplate": {"spec": {"tolerations": list(given)}}}
    pod = runner_pod(agent(spec), AgentSpec.model_validate(spec), RELEASE, 0)
    return list(pod["spec"]["tolerations"])


def test_an_agents_own_tolerations_stand_beside_those_for_lost_nodes_and_may_replace_them() -> None:
    gpu = {"key": "gpu", "operator": "Exists"}
    patient = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 600}
    assert [entry["key"] for entry in tolerations_of(gpu)] == [
        "gpu",
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    assert [entry.get("tolerationSeconds") for entry in tolerations_of(patient)] == [600, 30]


def hash_of(**spec: Any) -> str:
    whole = {"image": "support:1", **spec}
    return template_hash(agent(whole), AgentSpec.model_validate(whole), RELEASE)


def test_what_runners_are_made_from_changes_the_hash() -> None:
    assert hash_of() == hash_of()
    different = [hash_of(), hash_of(image="support:2"), hash_of(env=[{"name": "A"}]), hash_of(runsPerRunner=3)]
    assert len(set(different)) == 4


def test_what_only_the_pool_needs_does_not_replace_runners() -> None:
    assert hash_of(runners={"max": 99}, suspend=True, runHistoryLimit=1) == hash_of()


def test_a_merge_lays_lists_over_each_other_by_name() -> None:
    base = {"containers": [{"name": "runner", "image": "a", "args": ["x"]}], "tolerations": [{"key": "a"}]}
    patch = {"containers": [{"name": "runner", "image": "b"}, {"name": "new"}], "tolerations": [{"key": "b"}]}
    assert merge(base, patch) == {
        "containers": [{"name": "runner", "image": "b", "args": ["x"]}, {"name": "new"}],
        "tolerations": [{"key": "b"}],
    }


def test_a_merge_removes_what_is_null_or_marked() -> None:
    base = {"a": 1, "volumes": [{"name": "tmp"}, {"name": "x"}]}
    assert merge(base, {"a": None, "volumes": [{"name": "tmp", "$patch": "delete"}]}) == {"volumes": [{"name": "x"}]}
