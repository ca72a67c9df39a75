"""Many AgentRuns: at once, and left over from before."""

from __future__ import annotations

import time

import httpx

from tests.cluster.bulk import create_runs, delete_runs
from tests.support.cluster import Cluster, Object, agent_run, outcome, unique, wait_until

OPERATOR = "relayrun_operator"


def labelled(count: int, label: str, agent: str = "all") -> list[Object]:
    runs = [agent_run("quick", agent, name=f"many-{label}-{n}") for n in range(count)]
    for run in runs:
        run["metadata"]["labels"] = {"many": label}
    return runs


def test_five_hundred_runs_at_once_all_finish(cluster: Cluster) -> None:
    label = unique("at-once")
    began = time.monotonic()
    create_runs(cluster, labelled(500, label))
    created = time.monotonic()
    finished = ("ar", "-l", f"many={label}", "--field-selector=status.phase=Succeeded", "-o", "name")
    wait_until(lambda: len(cluster.kubectl("get", *finished).split()) == 500, "all 500 have succeeded", 180, every=1)
    print(f"\n500 runs: created in {created - began:.1f} s, finished after {time.monotonic() - began:.1f} s")
    ended = cluster.all("ar", "-l", f"many={label}")
    assert {outcome(run) for run in ended} == {("Succeeded", "Succeeded")}
    assert {run["status"]["attempts"] for run in ended} == {1}
    delete_runs(cluster, f"many={label}")


FINISHED_AT = "2026-01-01T00:00:00Z"
FINISHED = {
    "observedGeneration": 1,
    "phase": "Succeeded",
    "reason": "Succeeded",
    "attempts": 1,
    "startTime": FINISHED_AT,
    "completionTime": FINISHED_AT,
    "output": {"done": ["one", "two", "three"]},
    "conditions": [
        {"type": kind, "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": FINISHED_AT}
        for kind in ("Complete", "Finished")
    ],
}
_HISTORY = 5000
_LOOK_SECONDS = 3.0


def test_an_operator_starts_with_five_thousand_finished_runs(nodes: Cluster) -> None:
    """They cost it no long start, little memory, and nothing while nothing happens."""
    label = unique("old")
    nodes.kubectl("scale", "deployment/relayrun-operator", "--replicas=0")
    try:
        with nodes.an_agent(ready=False, runners={"min": 0, "max": 1}, runHistoryLimit=_HISTORY) as agent:
            create_runs(nodes, labelled(_HISTORY, label, agent), FINISHED)
            new = nodes.run("quick")
            began = time.monotonic()
            nodes.kubectl("scale", "deployment/relayrun-operator", "--replicas=2")
            assert outcome(nodes.finished(new, 60)) == ("Succeeded", "Succeeded")
            seconds = time.monotonic() - began
            leader = nodes.led()
            told = [nodes.usage(leader, OPERATOR)]

            def rests() -> bool:
                told.append(nodes.usage(leader, OPERATOR))
                return told[-1][1] - told[-2][1] < 0.1 * _LOOK_SECONDS

            wait_until(rests, "it uses less than a tenth of a CPU", 90, every=_LOOK_SECONDS)
            (memory, cpu), most = told[-1], max(memory for memory, _ in told)
            print(
                f"\n{_HISTORY} finished runs: first run after {seconds:.1f} s, then at rest after {cpu:.1f} s of CPU,"
            )
            print(f"with {memory:.0f} MB, and {most:.0f} MB at most")
            assert most < 256, "half of what the chart allows"
            left = nodes.kubectl("get", "ar", "-l", f"many={label}", "-o", "name").split()
            assert len(left) == _HISTORY, "what the history may keep is kept"
            delete_runs(nodes, f"many={label}")
    finally:
        nodes.kubectl("scale", "deployment/relayrun-operator", "--replicas=2")
        nodes.parts_ready("operator")


def test_deleting_two_hundred_runs_in_one_request_cancels_all(cluster: Cluster) -> None:
    label = unique("deleted")
    with cluster.an_agent(runners={"min": 2, "max": 2, "spare": 0}) as agent:
        runs = [agent_run("slow", agent, input={"count": 600, "step_seconds": 0.5}) for _ in range(200)]
        for run in runs:
            run["metadata"]["labels"] = {"many": label}
        create_runs(cluster, runs)

        def executing() -> list[Object]:
            found = [run["status"] for run in cluster.all("ar", "-l", f"many={label}") if run["status"].get("runId")]
            return [status for status in found if status["phase"] == "Running"]

        wait_until(lambda: len(executing()) == 20, "as many run as there is room for", 90, every=1)
        paths = [f"/threads/{status['threadId']}/runs/{status['runId']}" for status in executing()]
        began = time.monotonic()
        delete_runs(cluster, f"many={label}")
        with httpx.Client(base_url=cluster.api_url, timeout=30) as http:

            def stopped(path: str) -> bool:
                return http.get(path).json()["status"] in {"cancelled", "interrupted"}

            wait_until(lambda: all(map(stopped, paths)), "all have stopped")
        print(f"\n200 runs, of which 20 executed: all had stopped {time.monotonic() - began:.1f} s after the request")
        wait_until(lambda: not cluster.all("ar", "-l", f"many={label}"), "no AgentRun is left")
        status: Object = wait_until(
            lambda: (found := cluster.get("agent", agent)["status"]).get("activeThreads") == 0 and found, "nothing runs"
        )
        assert status["queuedRuns"] == 0
