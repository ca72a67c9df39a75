"""Whatever dies, the run goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.support.cluster import Cluster, Object, command, outcome, wait_until

STEPS = 20
SLOW = {"count": STEPS, "step_seconds": 0.3}
ALL_DONE = [str(n) for n in range(STEPS)]


def expect_done(run: Object, attempts: int | None = None) -> None:
    assert outcome(run) == ("Succeeded", "Succeeded"), run["status"]
    assert run["status"]["output"]["done"] == ALL_DONE
    if attempts is not None:
        assert run["status"]["attempts"] == attempts, run["status"]


def holder(run: Object) -> str:
    name: str = run["status"]["runnerName"]
    return name


def test_a_run_goes_on_after_kill_9_of_its_runner(nodes: Cluster) -> None:
    name = nodes.run("slow", input=SLOW)
    nodes.signal(holder(nodes.running(name)), "KILL", "relayrun_runner")
    run = nodes.finished(name)
    expect_done(run, attempts=2)


def test_a_run_goes_on_after_its_pod_was_deleted_by_force(cluster: Cluster) -> None:
    name = cluster.run("slow", input=SLOW)
    pod = holder(cluster.running(name))
    cluster.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
    run = cluster.finished(name)
    expect_done(run, attempts=2)
    assert set(run["status"]["output"]["by"]) > {pod} or pod not in run["status"]["output"]["by"]


def test_an_eviction_drains_and_costs_no_attempt(cluster: Cluster) -> None:
    name = cluster.run("slow", input=SLOW)
    cluster.kubectl("delete", "pod", holder(cluster.running(name)), "--wait=false")
    run = cluster.finished(name)
    expect_done(run)
    assert run["status"].get("failedAttempts", 0) == 0


def test_fifty_runs_survive_the_operators_leader(cluster: Cluster) -> None:
    names = [cluster.run("slow", input={"count": 10, "step_seconds": 0.5}) for _ in range(50)]
    wait_until(lambda: cluster.status(names[10]).get("phase") in {"Running", "Succeeded"}, "a part of them runs")
    cluster.kubectl("delete", "pod", cluster.leader(), "--force", "--grace-period=0")
    runs = [cluster.finished(name, 120) for name in names]
    assert {outcome(run) for run in runs} == {("Succeeded", "Succeeded")}
    assert {tuple(run["status"]["output"]["done"]) for run in runs} == {tuple(str(n) for n in range(10))}
    assert {run["status"]["attempts"] for run in runs} == {1}, "a change of leaders interrupts nobody"
    cluster.parts_ready("operator")


def test_an_operator_that_was_paused_declares_nobody_lost(nodes: Cluster) -> None:
    name = nodes.run("slow", input={"count": 50, "step_seconds": 0.5})
    nodes.running(name)
    pods = [pod["metadata"]["name"] for pod in nodes.pods("operator")]
    for pod in pods:
        nodes.signal(pod, "STOP", "relayrun_operator")
    try:
        with pytest.raises(AssertionError):
            wait_until(lambda: nodes.status(name).get("attempts", 0) > 1, "nothing", 15)
    finally:
        for pod in pods:
            nodes.signal(pod, "CONT", "relayrun_operator")
    run = nodes.finished(name, 90)
    assert outcome(run) == ("Succeeded", "Succeeded")
    assert run["status"]["attempts"] == 1
    nodes.parts_ready("operator")


class Reader:
    """A client that follows a run and reconnects, as browsers do, with the id of the last event."""

    def __init__(self, url: str, path: str) -> None:
        self.told: list[str] = []
        self.ended = False
        self._last = "-"
        self._url, self._path = url, path

    def read(self) -> None:
        """Until the run's end; connections may break."""
        while not self.ended:
            try:
                self._once()
            except (httpx.HTTPError, httpx.StreamError):
                continue

    def _once(self) -> None:
        headers = {"Last-Event-ID": self._last}
        with (
            httpx.Client(base_url=self._url, timeout=20) as client,
            client.stream("GET", self._path, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                return
            event, data = "", ""
            for line in answer.iter_lines():
                key, _, value = line.partition(": ")
                if key == "id":
                    self._last = value
                elif key == "event":
                    event = value
                elif key == "data":
                    data = value
                elif not line:
                    self._hear(event, data)
                    event = data = ""

    def _hear(self, event: str, data: str) -> None:
        if event == "updates":
            self.told += json.loads(data).get("work", {}).get("done", [])
        self.ended = self.ended or event == "end"


@contextmanager
def readers(cluster: Cluster, status: dict[str, Any], count: int) -> Iterator[list[Reader]]:
    path = f"/threads/{status['threadId']}/runs/{status['runId']}/stream"
    reading = [Reader(cluster.api_url, path) for _ in range(count)]
    threads = [threading.Thread(target=reader.read, daemon=True) for reader in reading]
    for thread in threads:
        thread.start()
    yield reading
    for thread in threads:
        thread.join(60)


def test_twenty_clients_miss_nothing_when_the_api_is_killed(cluster: Cluster) -> None:
    name = cluster.run("slow", input={"count": 40, "step_seconds": 0.3}, streamModes=["updates"])
    status = cluster.running(name)["status"]
    with readers(cluster, status, 20) as reading:
        wait_until(lambda: all(len(reader.told) > 3 for reader in reading), "all clients read")
        for pod in cluster.pods("api"):
            cluster.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    assert outcome(cluster.finished(name, 60)) == ("Succeeded", "Succeeded")
    assert {tuple(reader.told) for reader in reading} == {tuple(str(n) for n in range(40))}
    cluster.parts_ready("api")


def test_twenty_runs_survive_postgres(cluster: Cluster) -> None:
    names = [cluster.run("slow", input={"count": 20, "step_seconds": 0.3}) for _ in range(20)]
    wait_until(lambda: cluster.status(names[5]).get("phase") in {"Running", "Succeeded"}, "a part of them runs")
    cluster.kubectl("delete", "pod", "relayrun-postgres-0")
    runs = [cluster.finished(name, 150) for name in names]
    assert {outcome(run) for run in runs} == {("Succeeded", "Succeeded")}, [run["status"] for run in runs]
    assert {tuple(run["status"]["output"]["done"]) for run in runs} == {tuple(str(n) for n in range(20))}


def test_a_zombie_that_comes_back_writes_nothing(nodes: Cluster) -> None:
    name = nodes.run("slow", input={"count": 60, "step_seconds": 0.5})
    pod = nodes.get("pod", holder(nodes.running(name)))
    command("docker", "pause", pod["spec"]["nodeName"])
    try:
        wait_until(lambda: nodes.status(name).get("attempts", 0) >= 2, "the run goes on elsewhere", 90)
        wait_until(lambda: nodes.status(name).get("runnerName") != pod["metadata"]["name"], "another runner", 60)
    finally:
        command("docker", "unpause", pod["spec"]["nodeName"])
    run = nodes.finished(name, 120)
    assert outcome(run) == ("Succeeded", "Succeeded"), run["status"]
    assert run["status"]["output"]["done"] == [str(n) for n in range(60)]
    by = run["status"]["output"]["by"]
    assert by == sorted(by, key=by.index), "after the change of runners only one of them wrote"
    nodes.parts_ready()


def test_an_out_of_memory_kill_ends_only_that_run(cluster: Cluster) -> None:
    limits = {"spec": {"containers": [{"name": "runner", "resources": {"limits": {"memory": "400Mi"}}}]}}
    with cluster.an_agent(runners={"min": 1, "max": 2, "spare": 0}, podTemplate=limits) as agent:
        run = cluster.finished(cluster.run("hog", agent=agent, backoffLimit=0), 90)
        assert outcome(run) == ("Failed", "BackoffLimitExceeded"), run["status"]
        assert outcome(cluster.finished(cluster.run("quick", agent=agent), 90)) == ("Succeeded", "Succeeded")
