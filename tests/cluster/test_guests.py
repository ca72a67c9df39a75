"""Hostile guests in pods: each ends as it is known to, and innocents beside them notice nothing.

The agent is that of `tests/guests`, mounted into the tests' image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.guests import guests
from tests.guests.guests import AGENT, Guest, how_it_differs
from tests.guests.innocents import INNOCENT_VALUES, INNOCENTS, innocent
from tests.support.cluster import Cluster, Object, agent_run, condition, wait_until

_MOUNT = "/guests"
#: Few runs may kill runners that others share: each of them does so three times.
DEADLY = ("_exit", "segfault")
SHARED: dict[str, Any] = {"runners": {"min": 3, "max": 6, "spare": 0}, "runsPerRunner": 40, "runHistoryLimit": 2000}
OWN: dict[str, Any] = {"isolation": "Pod", "runners": {"min": 0, "max": 6, "spare": 0}}


class Visit:
    """The guests, with the AgentRuns that they came as."""

    def __init__(self, cluster: Cluster, agent: str) -> None:
        self.cluster = cluster
        self.agent = agent
        self.guests: dict[str, Guest] = {}
        self.innocents: list[str] = []
        self.ended: dict[str, Object] = {}

    def come(self, agent: str, invited: dict[str, Guest]) -> None:
        """Have them all in one call."""
        runs = [
            agent_run(
                guest.graph, agent, input=guest.input, config={"configurable": guest.configurable},
                backoffLimit=guest.backoff_limit,
            )
            for guest in invited.values()
        ]  # fmt: skip
        self.cluster.create(*runs)
        self.guests |= {run["metadata"]["name"]: guest for run, guest in zip(runs, invited.values(), strict=True)}

    def run(self, name: str) -> Object:
        """The run as the API tells it."""
        status = self.ended[name]["status"]
        answer = httpx.get(f"{self.cluster.api_url}/threads/{status['threadId']}/runs/{status['runId']}", timeout=60)
        found: Object = answer.raise_for_status().json()
        return found


@pytest.fixture(scope="module")
def visit(cluster: Cluster) -> Iterator[Visit]:
    """A visit that is over."""
    files = [f"--from-file={file}" for file in AGENT.parent.iterdir() if file.is_file()]
    cluster.kubectl("delete", "configmap", "guests", "--ignore-not-found")
    cluster.kubectl("create", "configmap", "guests", *files)
    mount = {"containers": [{"name": "runner", "volumeMounts": [{"name": "guests", "mountPath": _MOUNT}]}]}
    template = {"spec": {**mount, "volumes": [{"name": "guests", "configMap": {"name": "guests"}}]}}
    made: dict[str, Any] = {"configPath": f"{_MOUNT}/langgraph.json", "podTemplate": template}
    with cluster.an_agent(**SHARED, **made) as shared, cluster.an_agent(**OWN, **made, ready=False) as own:
        visit = Visit(cluster, shared)
        visit.come(own, {how: guest for how, guest in guests.deadly().items() if how not in DEADLY})
        visit.come(shared, {f"innocent {number}": innocent() for number in range(INNOCENTS)})
        visit.come(shared, guests.few())
        visit.come(shared, {how: guests.deadly()[how] for how in DEADLY})
        names = list(visit.guests)
        visit.ended = dict(zip(names, cluster.all_finished(names, 240), strict=True))
        yield visit


def test_each_guest_ends_as_it_is_known_to(visit: Visit) -> None:
    wrong = {}
    for name, guest in visit.guests.items():
        run = visit.run(name)
        if how := how_it_differs(guest.end, run["status"], run["reason"], run["error"]):
            wrong[f"{guest.input} {guest.configurable}"] = how
    assert not wrong


def test_all_innocents_succeed_and_no_effect_is_lost(visit: Visit) -> None:
    innocents = [visit.ended[name]["status"] for name, guest in visit.guests.items() if guest.graph == "innocent"]
    assert [status["reason"] for status in innocents] == ["Succeeded"] * INNOCENTS
    assert [status["output"] for status in innocents] == [INNOCENT_VALUES] * INNOCENTS


def test_the_pool_is_whole_and_its_pods_execute_runs(visit: Visit) -> None:
    cluster = visit.cluster

    def ready() -> bool:
        return all(condition(pod, "Ready").get("status") == "True" for pod in cluster.runners(visit.agent))

    wait_until(ready, "all pods of the pool are ready", 200)
    runs = cluster.all_finished(cluster.runs("innocent", 40, visit.agent, input=innocent().input), 120)
    assert {run["status"]["reason"] for run in runs} == {"Succeeded"}
    assert {run["status"]["runnerName"] for run in runs} <= {
        pod["metadata"]["name"] for pod in cluster.runners(visit.agent)
    }
