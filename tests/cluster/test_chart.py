"""The chart itself: its own test, an upgrade, and what an uninstall leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.conftest import HERE, ROOT
from tests.support.cluster import Cluster, CommandError, outcome, unique, wait_until

CHART = str(ROOT / "charts" / "relayrun")


def test_helm_test_passes(cluster: Cluster) -> None:
    told = cluster.helm("test", "relayrun", "-n", cluster.namespace, "--logs")
    assert "Succeeded" in told
    assert '"checks": {' in told, "it shows the status that it has seen"


def test_the_first_api_key_needs_nothing_on_a_laptop(cluster: Cluster) -> None:
    told = cluster.as_documented(
        "how-to/authentication.md", "kubectl -n relayrun exec deploy/relayrun-api -- relayrun keys"
    )
    key = told.strip().splitlines()[-1]
    relayrun = ("exec", "deploy/relayrun-api", "--", "relayrun", "keys")
    [listed] = json.loads(cluster.kubectl(*relayrun, "list", "--json"))
    assert (listed["owner"], listed["name"]) == ("alice", "laptop")
    assert listed["id"] in key
    cluster.kubectl(*relayrun, "revoke", listed["id"])


def test_the_documented_upgrade_keeps_every_value(cluster: Cluster) -> None:
    def values() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            cluster.helm("get", "values", "relayrun", "-n", cluster.namespace, "-o", "json")
        )
        return found

    before = values()
    cluster.as_documented("how-to/kubernetes.md", "helm upgrade relayrun")
    after = values()
    assert after["api"].pop("replicas") == 3
    assert after == before
    assert cluster.find("statefulset", "relayrun-postgres"), "the trial Postgres is there"


def test_an_upgrade_interrupts_no_run(cluster: Cluster) -> None:
    name = cluster.run("slow", input={"count": 40, "step_seconds": 0.5})
    cluster.running(name)
    jobs = {job["metadata"]["name"] for job in cluster.all("jobs")}
    cluster.helm(
        *("upgrade", "relayrun", CHART, "-n", cluster.namespace, "--values", str(HERE / "values.yaml"), *cluster.made),
        *(f"--set={part}.podAnnotations.round={unique('round')}" for part in ("operator", "api", "migrations")),
        *("--wait", "--timeout", "4m"),
    )
    assert {job["metadata"]["name"] for job in cluster.all("jobs")} != jobs, "other values are another Job"
    run = cluster.finished(name, 90)
    assert outcome(run) == ("Succeeded", "Succeeded")
    assert run["status"]["attempts"] == 1


def test_an_uninstall_leaves_nothing_but_data(cluster: Cluster) -> None:
    there = Cluster(cluster.name, cluster.kubeconfig, namespace="gone")
    there.kubectl("create", "namespace", "gone")
    there.helm(
        *("install", "gone", CHART, "-n", "gone", "--values", str(HERE / "values.yaml"), *cluster.made),
        "--set=operator.replicas=1,api.replicas=1,sampleAgent.enabled=true",
        "--set=watchNamespaces=null,api.service.type=ClusterIP,api.service.nodePort=null",
        *("--set=sampleAgent.image.repository=relayrun-test-agent,sampleAgent.image.tag=1", "--wait", "--timeout=4m"),
    )
    with pytest.raises(CommandError, match="Release gone serves the namespace gone already"):
        there.helm("install", "second", CHART, "-n", "gone", "--values", str(HERE / "values.yaml"), "--dry-run=server")
    wait_until(lambda: there.find("agent", "steps"), "the sample Agent", 90)
    there.agent_ready("steps")
    there.helm("uninstall", "gone", "-n", "gone", "--wait")
    wait_until(lambda: not there.all("agents") and not there.all("pods"), "the sample Agent goes with the release", 90)
    kinds = "deploy,sts,svc,job,cm,sa,role,rolebinding,netpol,pdb,lease,secret,pvc"
    left = {f"{thing['kind']}/{thing['metadata']['name']}" for thing in there.all(kinds)}
    left -= {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
    assert left <= {
        "PersistentVolumeClaim/data-gone-relayrun-postgres-0",
        "Secret/relayrun-postgres",  # opens the data
        "Secret/gone-relayrun-runner-token",  # made by the operator, not by the release
        "Lease/relayrun-operator",
    }
    roles = json.loads(there.kubectl("get", "clusterrole,clusterrolebinding", "-o", "json"))["items"]
    assert not [role for role in roles if role["metadata"]["name"].startswith("gone")]
    there.kubectl("delete", "namespace", "gone", "--wait=false")
