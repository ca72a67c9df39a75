"""Several Agents with one graph name, and several versions of one Agent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.cluster import Cluster, Object, command, condition, outcome, unique, wait_until

POOL = {"min": 1, "max": 2, "spare": 0, "scaleDownDelaySeconds": 0}


@contextmanager
def shared_by_weight(cluster: Cluster, group: str) -> Iterator[Any]:
    """`all` in a group for a while; a function to set an Agent's weight."""

    def weigh(agent: str, weight: int) -> None:
        patch = {"spec": {"traffic": {"group": group, "weight": weight}}}
        cluster.kubectl("patch", "agent", agent, "--type=merge", "-p", json.dumps(patch))

    try:
        yield weigh
    finally:
        cluster.kubectl("patch", "agent", "all", "--type=merge", "-p", '{"spec":{"traffic":null}}')


def conflict(cluster: Cluster, agent: str) -> Object:
    return condition(cluster.get("agent", agent), "NameConflict")


def test_a_canary_shares_the_names_by_weight_and_a_thread_stays(cluster: Cluster) -> None:
    pods = {pod["metadata"]["uid"] for pod in cluster.runners("all")}
    with cluster.an_agent(runners=POOL) as canary, httpx.Client(base_url=cluster.api_url, timeout=60) as http:

        def ran_on(graph: str, thread: str | None = None) -> str:
            thread = thread or http.post("/threads", json={}).json()["thread_id"]
            values = http.post(f"/threads/{thread}/runs/wait", json={"assistant_id": graph, "input": {}}).json()
            agents = [pod.rpartition("-")[0] for pod in values["by"][-3:]]
            assert len(set(agents)) == 1, values
            return "all" if agents[0].startswith("all") else canary

        def moved(to: str) -> bool:
            return {ran_on("quick") for _ in range(4)} == {to}

        wait_until(lambda: conflict(cluster, canary).get("status") == "True", "the newer one says so")
        assert f"is called {canary}/quick" in conflict(cluster, canary)["message"]
        assert (ran_on("quick"), ran_on(f"{canary}/quick"), ran_on("all/quick")) == ("all", canary, "all")
        with shared_by_weight(cluster, unique("group")) as weigh:
            weigh(canary, 100)
            weigh("all", 0)
            wait_until(lambda: moved(canary), "new threads are the canary's")
            wait_until(lambda: conflict(cluster, canary).get("status") != "True", "nobody is in nobody's way")
            thread = http.post("/threads", json={}).json()["thread_id"]
            assert ran_on("quick", thread) == canary
            weigh("all", 100)
            weigh(canary, 0)
            wait_until(lambda: moved("all"), "new threads are all's")
            assert ran_on("quick", thread) == canary, "its thread stays"
    assert {pod["metadata"]["uid"] for pod in cluster.runners("all")} == pods, "no pod was rolled"


def test_open_threads_stay_on_their_revision_through_an_update_and_a_rollback(cluster: Cluster) -> None:
    one, two = "relayrun-test-agent:1", "relayrun-test-agent:2"
    spec: dict[str, Any] = {"runners": POOL, "updateStrategy": {"threads": "Pin"}}

    def current() -> str:
        return str(cluster.get("agent", agent)["status"].get("currentRevision"))

    def replaced(revision: str) -> bool:
        listed = cluster.get("agent", agent)["status"].get("revisions", [])
        return any(entry["name"] == revision and "replacedAt" in entry for entry in listed)

    def paused() -> str:
        run = cluster.finished(cluster.run("asks", agent, thread=(thread := unique("pinned"))), 90)
        assert outcome(run) == ("WaitingForInput", "WaitingForInput")
        return thread

    def answered_by(thread: str) -> str:
        run = cluster.finished(cluster.run("asks", agent, thread=thread, command={"resume": "yes"}), 90)
        assert outcome(run) == ("Succeeded", "Succeeded"), run["status"]
        return str(run["status"]["output"]["generation"])

    with cluster.an_agent(one, **spec) as agent:
        early, late, first = paused(), paused(), current()
        cluster.agent(agent, two, ready=False, **spec)
        wait_until(lambda: replaced(first), "the second revision serves", 90)
        second, newer = current(), paused()
        assert second != first
        kept = cluster.all("controllerrevisions", "-l", f"relayrun.dev/agent={agent}")
        assert {entry["metadata"]["name"] for entry in kept} == {f"{agent}-{first}", f"{agent}-{second}"}
        wait_until(lambda: not pods_of(cluster, agent, first), "the first one's runners are not needed")
        assert answered_by(early) == "1"
        listed = json.loads(relayrun(cluster, "revisions", agent, "--json"))
        assert {entry["name"]: (entry["image"], entry["open_threads"]) for entry in listed} == {
            second: (two, 1),
            first: (one, 1),
        }
        cluster.agent(agent, one, ready=False, **spec)
        wait_until(lambda: current() == first and replaced(second), "the rollback serves", 90)
        assert (answered_by(late), answered_by(newer)) == ("1", "2")
        last = paused()
        cluster.agent(
            agent, two, ready=False, **{**spec, "updateStrategy": {"threads": "Pin", "pinDeadlineSeconds": 0}}
        )
        wait_until(lambda: replaced(first) and not pods_of(cluster, agent, first), "the second one serves alone", 90)
        run = cluster.finished(cluster.run("quick", agent, thread=last), 90)
        labels = cluster.get("pod", run["status"]["runnerName"])["metadata"]["labels"]
        assert labels["relayrun.dev/template"] == second, "its deadline is over"


def pods_of(cluster: Cluster, agent: str, revision: str) -> list[Object]:
    return cluster.all("pods", "-l", f"relayrun.dev/agent={agent},relayrun.dev/template={revision}")


def relayrun(cluster: Cluster, *arguments: str) -> str:
    return command(sys.executable, "-m", "relayrun_cli", *arguments, "--url", cluster.api_url)
