"""A runner's process that dies inside its pod is followed by the next one there, and nothing is lost by it."""

from __future__ import annotations

import time

from tests.support.cluster import Cluster, CommandError, Object, command, outcome, wait_until

KILLS = 30
STEPS = 60
# The runner, and not the process that forks it: `relayrun_runner.pod`.
RUNNER = "'relayrun_runner *$'"


def container(pod: Object) -> Object:
    status: Object = pod["status"]["containerStatuses"][0]
    return status


def is_ready(cluster: Cluster, pod: Object) -> bool:
    """Whether the runner itself says so, to somebody on its node."""
    url = f"http://{pod['status']['podIP']}:8123/readyz"
    try:
        return '"ready":true' in command("docker", "exec", pod["spec"]["nodeName"], "curl", "-s", "-m", "2", url)
    except CommandError:
        return False


def test_a_runner_s_process_is_killed_each_second_and_its_container_goes_on(cluster: Cluster) -> None:
    with cluster.an_agent(runners={"min": 2, "max": 2, "spare": 0}) as agent:
        # An agent is ready with its first runner.
        pods: list[Object] = wait_until(
            lambda: (
                len(found := cluster.runners(agent)) == 2 and all(is_ready(cluster, pod) for pod in found) and found
            ),
            "two runners are ready",
            120,
        )
        names = cluster.runs("slow", 6, agent=agent, input={"count": STEPS, "step_seconds": 0.5}, backoffLimit=5)
        cluster.running(names[-1])
        waits = []
        for count in range(KILLS):
            pod = pods[count % 2]
            began = time.monotonic()
            cluster.signal(pod["metadata"]["name"], "KILL", RUNNER)
            wait_until(lambda pod=pod: is_ready(cluster, pod), "the next runner is ready", 60, every=0.05)
            waits.append(time.monotonic() - began)
            time.sleep(max(0.0, 1.0 - waits[-1]))  # the rate of the kills
        waits.sort()
        print(f"\nkill → ready, docker exec included: p50 {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s")
        for run in cluster.all_finished(names, 240):
            assert outcome(run) == ("Succeeded", "Succeeded"), run["status"]
            assert run["status"]["output"]["done"] == [str(n) for n in range(STEPS)]
        after = {pod["metadata"]["uid"]: container(pod)["restartCount"] for pod in cluster.runners(agent)}
        assert after == {pod["metadata"]["uid"]: 0 for pod in pods}
        told = wait_until(
            lambda: cluster.metric("relayrun_runner_deaths_total", agent=agent, reason="Killed") == KILLS,
            f"{KILLS} deaths are counted",
        )
        assert told
        assert "its process was killed by a signal; the next one runs in the same pod" in cluster.kubectl(
            "describe", "agent", agent
        )


def test_an_out_of_memory_kill_of_the_container_is_told_as_such(cluster: Cluster) -> None:
    limits = {"spec": {"containers": [{"name": "runner", "resources": {"limits": {"memory": "400Mi"}}}]}}
    with cluster.an_agent(runners={"min": 1, "max": 1, "spare": 0}, podTemplate=limits) as agent:
        run = cluster.finished(cluster.run("hog", agent=agent, backoffLimit=0), 90)
        assert outcome(run) == ("Failed", "BackoffLimitExceeded"), run["status"]
        wait_until(
            lambda: "its container's memory ran out" in cluster.kubectl("describe", "agent", agent), "it is told", 60
        )
        wait_until(
            lambda: cluster.metric("relayrun_runner_deaths_total", agent=agent, reason="OOMKilled") >= 1, "counted"
        )
