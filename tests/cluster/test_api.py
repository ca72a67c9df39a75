"""The API in the cluster: what a frontend sees of AgentRuns, and what becomes of them behind its back."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.cluster.conftest import SECOND_NAMESPACE
from tests.support.cluster import NAMESPACE, Cluster, Object, wait_until

LONG = {"count": 600, "step_seconds": 0.1}


@pytest.fixture
def http(cluster: Cluster) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cluster.api_url, timeout=60) as client:
        yield client


def start(http: httpx.Client, graph: str = "all/slow", **body: Any) -> tuple[str, str]:
    """The path and the AgentRun's name of a run on a thread of its own."""
    thread = http.post("/threads", json={}).raise_for_status().json()["thread_id"]
    return start_on(http, thread, graph, **body)


def start_on(http: httpx.Client, thread: str, graph: str = "all/slow", **body: Any) -> tuple[str, str]:
    asked = {"assistant_id": graph, "input": {}, **body}
    run_id = http.post(f"/threads/{thread}/runs", json=asked).raise_for_status().json()["run_id"]
    return f"/threads/{thread}/runs/{run_id}", f"run-{run_id}"


def status_of(http: httpx.Client, path: str) -> str:
    status: str = http.get(path).raise_for_status().json()["status"]
    return status


def becomes(http: httpx.Client, path: str, status: str, seconds: float = 30) -> None:
    wait_until(lambda: status_of(http, path) == status, f"{path} is {status}", seconds)


def test_a_chat_needs_no_more_than_one_request(cluster: Cluster, http: httpx.Client) -> None:
    body = {"assistant_id": "all/quick", "input": {}, "stream_mode": ["updates"]}
    with http.stream("POST", "/runs/stream", json=body) as answer:
        events = [line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: ")]
    assert events == ["metadata", "updates", "updates", "updates"]


def test_cancelling_deletes_the_agentrun_and_ends_the_run(cluster: Cluster, http: httpx.Client) -> None:
    path, name = start(http, input=LONG)
    cluster.running(name)
    http.post(f"{path}/cancel").raise_for_status()
    becomes(http, path, "interrupted")
    assert cluster.find("ar", name) is None


def test_deleting_a_thread_takes_its_unfinished_runs_and_their_agentruns(cluster: Cluster, http: httpx.Client) -> None:
    path, name = start(http, input=LONG)
    cluster.running(name)
    thread = path.split("/")[2]
    _, waiting = start_on(http, thread, input=LONG)
    wait_until(lambda: cluster.find("ar", waiting), "the second run's AgentRun")
    assert http.delete(f"/threads/{thread}").status_code == 204
    assert http.get(f"/threads/{thread}").status_code == 404
    for gone in (name, waiting):
        wait_until(lambda gone=gone: cluster.find("ar", gone) is None, f"{gone} is gone")
    again = http.post("/threads", json={"thread_id": thread}).raise_for_status().json()
    assert again["values"] is None
    # Its runner has stopped: the same runner's slots take another run, and nothing comes to the thread of that id.
    newer, _ = start_on(http, thread, "all/quick")
    becomes(http, newer, "success")
    assert [run["run_id"] for run in http.get(f"/threads/{thread}/runs").json()] == [newer.split("/")[-1]]


def test_a_thread_is_deleted_with_a_persons_own_agentrun_which_is_not_run_again(
    cluster: Cluster, http: httpx.Client
) -> None:
    thread = str(uuid4())
    name = cluster.run("slow", thread=thread, input=LONG)
    cluster.running(name)
    assert http.delete(f"/threads/{thread}").status_code == 204
    wait_until(lambda: cluster.find("ar", name) is None, f"{name} is gone")
    assert http.get(f"/threads/{thread}").status_code == 404


def test_deleting_the_agentrun_with_kubectl_cancels_the_run(cluster: Cluster, http: httpx.Client) -> None:
    path, name = start(http, input=LONG)
    cluster.running(name)
    second, waiting = start_on(http, path.split("/")[2], input=LONG)
    wait_until(lambda: cluster.find("ar", waiting), "the second run's AgentRun")
    cluster.kubectl("delete", "ar", waiting)  # it was never assigned: only its row can say so
    becomes(http, second, "interrupted")
    cluster.kubectl("delete", "ar", name)
    becomes(http, path, "interrupted")


def test_a_newer_run_displaces_an_older_one(cluster: Cluster, http: httpx.Client) -> None:
    path, name = start(http, input=LONG)
    cluster.running(name)
    newer, _ = start_on(http, path.split("/")[2], "all/quick", multitask_strategy="interrupt")
    becomes(http, newer, "success")
    becomes(http, path, "interrupted")


def test_twenty_streams_go_on_when_a_runner_and_every_api_pod_die(cluster: Cluster, http: httpx.Client) -> None:
    clients, steps = 20, 24
    begun = threading.Barrier(clients + 1)

    def read_all() -> list[tuple[str, Any]]:
        with httpx.Client(base_url=cluster.api_url, timeout=60) as own:
            path, _ = start(own, input={"count": steps, "step_seconds": 0.4}, stream_mode=["updates"])
            events: list[tuple[str, Any]] = []
            while True:
                over = _status_of_soon(own, path) not in ("pending", "running")
                with suppress(httpx.HTTPError):  # the connection is lost
                    for number, data in _events(own, path, events[-1][0] if events else "-"):
                        events.append((number, data))
                        if len(events) == 5:
                            begun.wait(60)
                    if over:  # and all of it is read
                        return events

    with ThreadPoolExecutor(clients) as pool:
        reading = [pool.submit(read_all) for _ in range(clients)]
        begun.wait(60)
        runner = cluster.all("ar", "--field-selector", "status.phase=Running")[0]["status"]["runnerName"]
        doomed = [runner, *(pod["metadata"]["name"] for pod in cluster.pods("api"))]
        cluster.kubectl("delete", "pod", *doomed, "--force", "--grace-period=0")
        told = [future.result(120) for future in reading]
    for events in told:
        done = [data["work"]["done"] for _, data in events if "work" in data]
        assert done == [[str(n)] for n in range(steps)], "nothing is missing, and nothing is told twice"
        assert len({number for number, _ in events}) == len(events)
    attempts = [data["attempt"] for events in told for _, data in events if "attempt" in data]
    assert max(attempts) > 1, "no run was on the runner that died: this tests nothing"
    cluster.parts_ready("api")


def test_a_quota_delays_a_run_and_status_says_why(cluster: Cluster, http: httpx.Client) -> None:
    quota: Object = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-runs"},
        "spec": {"hard": {"count/agentruns.relayrun.dev": "0"}},
    }
    cluster.create(quota)
    try:
        wait_until(lambda: "hard" in cluster.get("quota", "no-runs").get("status", {}), "the quota counts")
        path, name = start(http, "all/quick")

        def refused() -> bool:
            return "exceeded quota" in (http.get("/status").json()["queue"]["blocked"] or "")

        wait_until(refused, "/status says that a quota is in the way", 30)
        assert status_of(http, path) == "pending"
        assert cluster.find("ar", name) is None
    finally:
        cluster.kubectl("delete", "quota", "no-runs")
    becomes(http, path, "success", 60)
    assert http.get("/status").json()["queue"]["blocked"] is None


def test_status_sees_the_whole_installation(cluster: Cluster, http: httpx.Client) -> None:
    def fine() -> Object | None:
        body: Object = http.get("/status").json()
        parts = ("database", "kubernetes", "operator", "runners")
        return body if all(body["checks"][part]["status"] == "ok" for part in parts) else None

    body = wait_until(fine, "all parts are well", 60)
    assert body["checks"]["runners"]["ready"] >= 2
    assert "lease renewed" in body["checks"]["operator"]["reason"]


def test_agentruns_that_a_rebuilt_cluster_lost_are_made_again(cluster: Cluster, http: httpx.Client) -> None:
    with suspended(cluster), stopped_operator(cluster):
        path, name = start(http, "all/quick")
        wait_until(lambda: cluster.find("ar", name), "the run's AgentRun")
        definition = cluster.get("crd", "agentruns.relayrun.dev")
        cluster.kubectl("delete", "crd", "agentruns.relayrun.dev", "--timeout=60s")
        kept = {key: definition["metadata"][key] for key in ("name", "labels", "annotations")}
        cluster.create({**definition, "metadata": kept, "status": None})
        cluster.kubectl("wait", "--for=condition=Established", "crd/agentruns.relayrun.dev", "--timeout=60s")
        wait_until(lambda: cluster.find("ar", name), "the run's AgentRun is made again", 60)
    becomes(http, path, "success", 60)


@contextmanager
def suspended(cluster: Cluster) -> Iterator[None]:
    """Nothing is assigned meanwhile."""
    patch = '{"spec":{"suspend":%s}}'
    cluster.kubectl("patch", "agent", "all", "--type=merge", "-p", patch % "true")
    try:
        yield
    finally:
        cluster.kubectl("patch", "agent", "all", "--type=merge", "-p", patch % "false")


@contextmanager
def stopped_operator(cluster: Cluster) -> Iterator[None]:
    """Nobody sees what becomes of AgentRuns meanwhile."""
    replicas = cluster.get("deploy", "relayrun-operator")["spec"]["replicas"]
    cluster.kubectl("scale", "deploy/relayrun-operator", "--replicas=0")
    try:
        wait_until(lambda: not cluster.pods("operator"), "the operator stops")
        yield
    finally:
        cluster.kubectl("scale", "deploy/relayrun-operator", f"--replicas={replicas}")
        cluster.parts_ready("operator")


def _events(http: httpx.Client, path: str, since: str) -> Iterator[tuple[str, Any]]:
    """A stream's events after `since`, up to its end. Raises httpx.HTTPError when its connection is lost."""
    number, headers = "", {"Last-Event-ID": since}
    with http.stream("GET", f"{path}/stream", headers=headers) as answer:
        for line in answer.raise_for_status().iter_lines():
            if line.startswith("id: "):
                number = line.removeprefix("id: ")
            elif line.startswith("data: ") and number:
                yield number, json.loads(line.removeprefix("data: "))
                number = ""


def _status_of_soon(http: httpx.Client, path: str) -> str:
    """The run's status from whichever replica answers first."""

    def ask() -> str | None:
        try:
            return status_of(http, path)
        except httpx.HTTPError:
            return None

    told: str = wait_until(ask, "a replica answers", 60)
    return told


def test_the_runners_token_is_rotated_under_load_and_no_pod_restarts(cluster: Cluster, http: httpx.Client) -> None:
    secret = "relayrun-runner-token"
    pods = [pod["metadata"]["name"] for pod in (*cluster.runners("all"), *cluster.pods("api"))]
    lives = {name: life(cluster, name) for name in pods}
    before = base64.b64decode(cluster.get("secret", secret)["data"]["token"]).decode()
    steps: tuple[Object, ...] = ({"token": "a new one", "previous-token": before}, {"token": "a new one"})
    done, failed = threading.Event(), list[str]()

    def load() -> None:
        while not done.is_set():
            thread = http.post("/threads", json={}).json()["thread_id"]
            for path, body in (("runs/wait", {"assistant_id": "all/quick", "input": {}}), ("history", {})):
                answer = http.post(f"/threads/{thread}/{path}", json=body)
                if not answer.is_success:
                    failed.append(answer.text)

    with ThreadPoolExecutor() as pool:
        loading = pool.submit(load)
        try:
            for number, step in enumerate(steps):
                data = dict.fromkeys(("token", "previous-token")) | {
                    key: base64.b64encode(text.encode()).decode() for key, text in step.items()
                }
                for namespace in (NAMESPACE, SECOND_NAMESPACE):
                    cluster.kubectl(
                        "-n", namespace, "patch", "secret", secret, "--type=merge", "-p", json.dumps({"data": data})
                    )
                for name in pods:  # a changed pod makes its kubelet look at once
                    cluster.kubectl("annotate", "pod", name, f"tests/step={number}", "--overwrite")
                    wait_until(
                        lambda name=name, step=step: mounted(cluster, name) == step, f"{name} has the files", 100
                    )
        finally:
            done.set()
        loading.result()
    assert not failed, failed[0]
    assert {name: life(cluster, name) for name in pods} == lives


def mounted(cluster: Cluster, pod: str) -> Object:
    files = "pathlib.Path('/run/relayrun/runner-token').glob('[!.]*')"
    script = f"import json, pathlib; print(json.dumps({{file.name: file.read_text() for file in {files}}}))"
    found: Object = json.loads(cluster.kubectl("exec", pod, "--", "python", "-c", script))
    return found


def life(cluster: Cluster, pod: str) -> tuple[str, int]:
    found = cluster.get("pod", pod)
    return found["metadata"]["uid"], found["status"]["containerStatuses"][0]["restartCount"]
