"""One AgentRun from its creation to its end."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise

import httpx

from tests.support.cluster import Cluster, condition, outcome, unique, wait_until


def test_a_run_applied_with_kubectl_succeeds(cluster: Cluster) -> None:
    name = cluster.run("quick")
    run = cluster.finished(name)
    assert outcome(run) == ("Succeeded", "Succeeded")
    status = run["status"]
    assert status["output"]["done"] == ["one", "two", "three"]
    assert status["attempts"] == 1
    assert status["startTime"] <= status["completionTime"]
    assert {c["type"]: c["status"] for c in status["conditions"]}.items() >= {
        "Complete": "True",
        "Finished": "True",
    }.items()
    assert condition(run, "Failed").get("status") != "True"
    line = cluster.kubectl("get", "ar", name).splitlines()[1].split()
    assert line[:5] == [name, "all", "Succeeded", "Succeeded", "1"]


def test_a_run_of_kubectl_is_seen_through_the_api(cluster: Cluster) -> None:
    run = cluster.finished(cluster.run("quick", thread=unique("seen")))
    thread, number = run["status"]["threadId"], run["status"]["runId"]
    with httpx.Client(base_url=cluster.api_url, timeout=30) as client:
        assert client.get(f"/threads/{thread}/runs/{number}").raise_for_status().json()["status"] == "success"
        state = client.get(f"/threads/{thread}/state").raise_for_status().json()
        assert state["values"]["done"] == ["one", "two", "three"]


def test_a_run_is_streamed_while_it_runs(cluster: Cluster) -> None:
    name = cluster.run("slow", input={"count": 10, "step_seconds": 0.3}, streamModes=["updates"])
    run = cluster.running(name)
    thread, number = run["status"]["threadId"], run["status"]["runId"]
    with (
        httpx.Client(base_url=cluster.api_url, timeout=60) as client,
        client.stream("GET", f"/threads/{thread}/runs/{number}/stream", headers={"Last-Event-ID": "-"}) as answer,
    ):
        told = [line for line in answer.iter_lines() if line.startswith("data: ") and '"work"' in line]
    assert [json.loads(line[6:])["work"]["done"] for line in told] == [[str(n)] for n in range(10)]
    assert outcome(cluster.finished(name)) == ("Succeeded", "Succeeded")


def test_a_run_of_the_api_is_an_agentrun_without_payload(cluster: Cluster) -> None:
    with httpx.Client(base_url=cluster.api_url, timeout=30) as client:
        thread = client.post("/threads", json={}).raise_for_status().json()["thread_id"]
        asked = {"assistant_id": "slow", "input": {"count": 8, "step_seconds": 0.3, "done": []}}
        number = client.post(f"/threads/{thread}/runs", json=asked).raise_for_status().json()["run_id"]
        run = wait_until(lambda: cluster.find("ar", f"run-{number}"), "the API's AgentRun")
        assert "input" not in run["spec"]
        assert run["spec"]["runId"] == number
        values = client.get(f"/threads/{thread}/runs/{number}/join", timeout=60).raise_for_status().json()
    assert len(values["done"]) == 8


def test_runs_of_a_thread_go_one_after_the_other(cluster: Cluster) -> None:
    thread = unique("in-order")
    names = [cluster.run("slow", thread=thread, input={"count": 4 * (n + 1), "step_seconds": 0.2}) for n in range(3)]
    runs = [cluster.finished(name) for name in names]
    assert [outcome(run) for run in runs] == [("Succeeded", "Succeeded")] * 3
    for one, next_one in pairwise(runs):
        assert one["status"]["completionTime"] <= next_one["status"]["startTime"]
    assert runs[-1]["status"]["output"]["done"] == [str(n) for n in range(12)]


def test_a_run_waits_for_a_person_and_another_goes_on(cluster: Cluster) -> None:
    thread = unique("person")
    asked = cluster.finished(cluster.run("asks", thread=thread))
    assert outcome(asked) == ("WaitingForInput", "WaitingForInput")
    assert condition(asked, "Waiting")["status"] == "True"
    assert not condition(asked, "Complete"), "it is not done"
    answered = cluster.finished(cluster.run("asks", thread=thread, command={"resume": "yes"}))
    assert outcome(answered) == ("Succeeded", "Succeeded")
    assert answered["status"]["output"]["done"] == ["answered yes"]
    waits = partial(cluster.get, "ar", asked["metadata"]["name"])
    wait_until(lambda: condition(waits(), "Waiting")["status"] == "False", "nobody is waited for")
    assert condition(waits(), "Waiting")["reason"] == "Continued"
    assert outcome(waits()) == ("WaitingForInput", "WaitingForInput"), "how it ended stays"


def test_kubectl_wait_ends_in_every_failure(cluster: Cluster) -> None:
    long = {"count": 100, "step_seconds": 0.5}
    cancelled = cluster.run("slow", input=long)
    expected = {
        cluster.run("fails"): ("Failed", "GraphError"),
        cluster.run("slow", input=long, activeDeadlineSeconds=2): ("Failed", "DeadlineExceeded"),
        cluster.run("no-such-graph"): ("Failed", "InvalidRun"),
        cluster.run("quick", agent="no-such-agent", startingDeadlineSeconds=2): ("Failed", "StartingDeadlineExceeded"),
        cancelled: ("Cancelled", "Cancelled"),
    }
    cluster.running(cancelled)
    cluster.kubectl("patch", "ar", cancelled, "--type=merge", "-p", '{"spec":{"cancel":"Interrupt"}}')
    names = [f"ar/{name}" for name in expected]
    cluster.kubectl("wait", "--for=condition=Finished", *names, "--timeout=60s")
    assert {name: outcome(cluster.get("ar", name)) for name in expected} == expected
    failed = cluster.get("ar", next(iter(expected)))
    assert failed["status"]["message"] == "ValueError in node fail: the shelf is empty"


def test_deleting_cancels(cluster: Cluster) -> None:
    thread = unique("deleted")
    name = cluster.run("slow", input={"count": 100, "step_seconds": 0.3}, thread=thread)
    status = cluster.running(name)["status"]
    cluster.kubectl("delete", "ar", name)
    with httpx.Client(base_url=cluster.api_url, timeout=30) as client:
        path = f"/threads/{status['threadId']}/runs/{status['runId']}"
        wait_until(lambda: client.get(path).json()["status"] != "running", "the run of a deleted AgentRun stops", 30)
        assert client.get(path).json()["status"] in {"cancelled", "interrupted"}
    # The thread is free again.
    assert outcome(cluster.finished(cluster.run("quick", thread=thread))) == ("Succeeded", "Succeeded")
