"""Whatever dies, the run goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.cluster import Cluster, Object, outcome, wait_until

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
        self.ended = True

    def _hear(self, event: str, data: str) -> None:
        if event == "updates":
            self.told += json.loads(data).get("work", {}).get("done", [])


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
    names = cluster.runs("slow", 20, input=SLOW)
    cluster.running(names[-1])
    # One second and not none: the next Postgres must not start before this one has ended.
    cluster.kubectl("delete", "pod", "relayrun-postgres-0", "--grace-period=1")
    for run in cluster.all_finished(names, 150):
        expect_done(run)


def test_an_out_of_memory_kill_ends_only_that_run(cluster: Cluster) -> None:
    limits = {"spec": {"containers": [{"name": "runner", "resources": {"limits": {"memory": "400Mi"}}}]}}
    with cluster.an_agent(runners={"min": 1, "max": 2, "spare": 0}, podTemplate=limits) as agent:
        run = cluster.finished(cluster.run("hog", agent=agent, backoffLimit=0), 90)
        assert outcome(run) == ("Failed", "BackoffLimitExceeded"), run["status"]
        assert outcome(cluster.finished(cluster.run("quick", agent=agent), 90)) == ("Succeeded", "Succeeded")
