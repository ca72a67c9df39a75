"""Agents and their pools of runners."""

from __future__ import annotations

import json

from tests.support.cluster import Cluster, Object, command, condition, outcome, wait_until


def not_ready_because(cluster: Cluster, agent: str, reason: str) -> Object:
    found: Object = wait_until(
        lambda: (ready := condition(cluster.get("agent", agent), "Ready")).get("reason") == reason and ready,
        f"Ready=False, {reason}: {cluster.get('agent', agent).get('status')}",
        60,
    )
    assert found["status"] == "False"
    return found


def test_a_new_image_replaces_runners_under_load(cluster: Cluster) -> None:
    other = "relayrun-test-agent:2"
    with cluster.an_agent(runners={"min": 2, "max": 3, "spare": 0}) as agent:
        names = [cluster.run("slow", agent=agent, input={"count": 20, "step_seconds": 0.4}) for _ in range(8)]
        cluster.running(names[0])
        cluster.agent(agent, other, ready=False, runners={"min": 2, "max": 3, "spare": 0})
        runs = [cluster.finished(name, 120) for name in names]
        assert {outcome(run) for run in runs} == {("Succeeded", "Succeeded")}
        assert {tuple(run["status"]["output"]["done"]) for run in runs} == {tuple(str(n) for n in range(20))}
        assert {run["status"].get("failedAttempts", 0) for run in runs} == {0}
        wait_until(
            lambda: {pod["spec"]["containers"][0]["image"] for pod in cluster.runners(agent)} == {other},
            "only runners of the new image",
            90,
        )


def test_draining_a_worker_passes_and_loses_nothing(nodes: Cluster) -> None:
    names = [nodes.run("slow", input={"count": 30, "step_seconds": 0.5}) for _ in range(6)]
    node = nodes.get("pod", nodes.running(names[0])["status"]["runnerName"])["spec"]["nodeName"]
    try:
        nodes.kubectl(*("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"), seconds=150)
        runs = [nodes.finished(name, 120) for name in names]
    finally:
        nodes.kubectl("uncordon", node)
    assert {outcome(run) for run in runs} == {("Succeeded", "Succeeded")}
    assert {run["status"].get("failedAttempts", 0) for run in runs} == {0}
    nodes.parts_ready()


def test_an_image_that_cannot_be_pulled_shows_on_the_agent(cluster: Cluster) -> None:
    with cluster.an_agent("localhost/no-such-image:1", ready=False) as agent:
        assert "no-such-image" in not_ready_because(cluster, agent, "ImagePullFailed")["message"]
        name = cluster.run("quick", agent=agent)
        wait_until(
            lambda: condition(cluster.get("ar", name), "Assigned").get("reason") == "AgentNotReady", "the run says why"
        )


def test_a_typo_in_the_pod_template_shows_on_the_agent(cluster: Cluster) -> None:
    template = {"spec": {"containers": [{"name": "runner", "resorces": {"limits": {"memory": "1Gi"}}}]}}
    with cluster.an_agent(ready=False, podTemplate=template) as agent:
        assert "resorces" in not_ready_because(cluster, agent, "PodForbidden")["message"]


def test_a_pod_of_isolation_pod_serves_one_run(cluster: Cluster) -> None:
    with cluster.an_agent(isolation="Pod", runners={"min": 1, "max": 3, "spare": 1}) as agent:
        runs = [cluster.finished(cluster.run("quick", agent=agent), 90) for _ in range(2)]
        assert {outcome(run) for run in runs} == {("Succeeded", "Succeeded")}
        assert len({run["status"]["runnerName"] for run in runs}) == 2


def test_deleting_a_run_of_isolation_pod_needs_no_operator(cluster: Cluster) -> None:
    with cluster.an_agent(isolation="Pod", runners={"min": 1, "max": 3, "spare": 1}) as agent:
        name = cluster.run("slow", agent=agent, input={"count": 200, "step_seconds": 0.5})
        pod = cluster.running(name)["status"]["runnerName"]
        cluster.kubectl("scale", "deployment/relayrun-operator", "--replicas=0")
        try:
            wait_until(lambda: not cluster.pods("operator"), "no operator")
            cluster.kubectl("delete", "ar", name)
            wait_until(lambda: cluster.find("pod", pod) is None, "the runner went with its AgentRun", 60)
        finally:
            cluster.kubectl("scale", "deployment/relayrun-operator", "--replicas=2")
            cluster.parts_ready("operator")


def test_every_pod_passes_the_restricted_level(cluster: Cluster) -> None:
    labels = json.loads(cluster.kubectl("get", "namespace", cluster.namespace, "-o", "json"))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    runner = cluster.runners("all")[0]["spec"]
    assert runner["automountServiceAccountToken"] is False
    assert runner["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_finished_runs_go_by_their_ttl_and_by_the_history_limit(cluster: Cluster) -> None:
    with cluster.an_agent(runners={"min": 1, "max": 1, "spare": 0}, runHistoryLimit=3) as agent:
        short = cluster.run("quick", agent=agent, ttlSecondsAfterFinished=1)
        names = [cluster.run("quick", agent=agent) for _ in range(6)]
        wait_until(lambda: cluster.find("ar", short) is None, "the TTL is over", 60)
        wait_until(lambda: len(_runs_of(cluster, agent)) == 3, "the history limit holds", 90)
        assert {run["metadata"]["name"] for run in _runs_of(cluster, agent)} <= set(names)


def _runs_of(cluster: Cluster, agent: str) -> list[Object]:
    return cluster.all("ar", "--field-selector", f"spec.agentRef.name={agent}")


def test_the_gauges_count_what_runs_and_end_at_nothing(cluster: Cluster) -> None:
    def active() -> float:
        return cluster.metric("relayrun_agentruns_running", namespace=cluster.namespace, agent="all")

    wait_until(lambda: active() == 0, "nothing runs")
    names = cluster.runs("slow", 7, input={"count": 30, "step_seconds": 0.5})
    wait_until(lambda: active() == 7, "seven threads are active")
    wait_until(lambda: cluster.get("agent", "all")["status"]["activeThreads"] == 7, "the Agent says so")
    leader = cluster.led()
    cluster.kubectl("delete", "pod", leader, cluster.status(names[0])["runnerName"], "--force", "--grace-period=0")
    cluster.led(other_than=leader)
    wait_until(lambda: active() == 7, "the next leader counts the same, on other runners")
    cluster.all_finished(names, 90)
    wait_until(lambda: active() == 0, "nothing runs any more")
    wait_until(lambda: cluster.get("agent", "all")["status"]["activeThreads"] == 0, "the Agent says so")


def test_images_have_no_compiler_and_no_root(nodes: Cluster) -> None:
    look = "id -u; command -v gcc cc make; true"
    for part in ("operator", "api", "runner"):
        told = command("docker", "run", "--rm", "--read-only", f"relayrun-{part}:dev", "sh", "-c", look)
        assert told.split() == ["10001"], part
