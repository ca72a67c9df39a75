"""Operators that die, freeze, or go with their node: another one leads, and nobody is declared lost wrongly."""

from __future__ import annotations

import time

from tests.support.cluster import Cluster, Object, command, outcome, wait_until

MODULE = "relayrun_operator"


def steps(count: int) -> tuple[str, ...]:
    return tuple(str(n) for n in range(count))


def expect_all_done(runs: list[Object], count: int) -> None:
    assert {outcome(run) for run in runs} == {("Succeeded", "Succeeded")}, [run["status"] for run in runs]
    assert {tuple(run["status"]["output"]["done"]) for run in runs} == {steps(count)}


def test_fifty_runs_survive_the_operators_leader(cluster: Cluster) -> None:
    names = cluster.runs("slow", 50, input={"count": 10, "step_seconds": 0.5})
    cluster.running(names[0])
    leader = cluster.led()
    cluster.kubectl("delete", "pod", leader, "--force", "--grace-period=0")
    began = time.monotonic()
    cluster.led(other_than=leader, seconds=20)
    print(f"\nanother leader after {time.monotonic() - began:.1f} s")
    runs = cluster.all_finished(names, 120)
    expect_all_done(runs, 10)
    assert {run["status"]["attempts"] for run in runs} == {1}, "a change of leaders interrupts nobody"
    cluster.parts_ready("operator")


def test_operators_that_were_paused_declare_nobody_lost(nodes: Cluster) -> None:
    """The leader for 30 seconds, and for the last of them its successor as well."""
    names = nodes.runs("slow", 6, input={"count": 90, "step_seconds": 0.5})
    for name in names:
        nodes.running(name)
    paused, began = [nodes.led()], time.monotonic()
    nodes.signal(paused[0], "STOP", MODULE)
    try:
        paused.append(nodes.led(other_than=paused[0], seconds=20))
        # The successor has asked all runners by then; now nobody listens, for longer than a runner may be silent.
        wait_until(lambda: time.monotonic() - began > 17, "the successor leads", every=1)
        nodes.signal(paused[1], "STOP", MODULE)
        wait_until(lambda: time.monotonic() - began > 30, "30 seconds are over", every=1)
    finally:
        for pod in paused:
            nodes.signal(pod, "CONT", MODULE)
    runs = nodes.all_finished(names, 90)
    expect_all_done(runs, 90)
    assert {run["status"]["attempts"] for run in runs} == {1}
    nodes.parts_ready("operator")


def test_a_lost_node_costs_seconds_and_its_zombies_write_nothing(nodes: Cluster) -> None:
    """The worst one: the operator's leader is lost with it."""
    names = nodes.runs("slow", 8, input={"count": 50, "step_seconds": 0.5})
    lost = node_of(nodes, nodes.led())
    runners = {name: nodes.running(name)["status"]["runnerName"] for name in names}
    places = {runner: node_of(nodes, runner) for runner in set(runners.values())}
    there = [name for name in names if places[runners[name]] == lost]
    assert 0 < len(there) < len(names), f"runners are spread over the nodes: {places}"
    command("docker", "pause", lost)
    began = time.monotonic()
    try:
        wait_until(lambda: all(nodes.status(name)["attempts"] > 1 for name in there), "the runs go on elsewhere", 60)
        seconds = time.monotonic() - began
    finally:
        command("docker", "unpause", lost)
    print(f"\n{len(there)} runs of a lost node went on after {seconds:.1f} s")
    assert seconds < 20
    runs = nodes.all_finished(names, 120)
    expect_all_done(runs, 50)
    for run in runs:
        assert run["status"]["attempts"] == (2 if run["metadata"]["name"] in there else 1), run["status"]
        by = run["status"]["output"]["by"]
        assert by == sorted(by, key=by.index), "after the change of runners only one of them wrote"
    nodes.parts_ready()


def test_every_runner_of_an_agent_lost_with_the_leading_operator_is_replaced_within_seconds(nodes: Cluster) -> None:
    """Nobody is left that the new leader could hear, and Kubernetes leaves the pods where they are for minutes."""
    lost = node_of(nodes, nodes.led())
    others = [node["metadata"]["name"] for node in nodes.all("nodes") if node["metadata"]["name"] != lost]
    nodes.kubectl("cordon", *others)
    try:
        nodes.agent("lonely", runners={"min": 2, "max": 2})
    finally:
        nodes.kubectl("uncordon", *others)
    assert {node_of(nodes, pod["metadata"]["name"]) for pod in nodes.runners("lonely")} == {lost}
    names = nodes.runs("slow", 2, agent="lonely", input={"count": 50, "step_seconds": 0.5})
    for name in names:
        nodes.running(name)
    command("docker", "pause", lost)
    began = time.monotonic()
    try:
        wait_until(lambda: all(nodes.status(name)["attempts"] > 1 for name in names), "the runs go on elsewhere", 90)
        seconds = time.monotonic() - began
    finally:
        command("docker", "unpause", lost)
    print(f"\nruns of a lost pool went on after {seconds:.1f} s")
    runs = nodes.all_finished(names, 120)
    expect_all_done(runs, 50)
    assert {run["status"]["attempts"] for run in runs} == {2}
    budget = nodes.get("pdb", "lonely-runners")
    assert budget["spec"]["minAvailable"] == 1
    nodes.kubectl("delete", "agent", "lonely")
    nodes.parts_ready()


def node_of(nodes: Cluster, pod: str) -> str:
    node: str = nodes.get("pod", pod)["spec"]["nodeName"]
    return node
