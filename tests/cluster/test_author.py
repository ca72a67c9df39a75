"""What an author's image brings beside graphs, in the cluster: routes, and who may call."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.cluster.conftest import HERE
from tests.cluster.test_chart import CHART
from tests.support.cluster import Cluster, wait_until


@pytest.fixture
def http(cluster: Cluster) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cluster.api_url, timeout=30) as http:
        yield http


def upgrade(cluster: Cluster, *settings: str) -> None:
    given = (*cluster.made, *(f"--set={setting}" for setting in settings))
    values = ("--values", str(HERE / "values.yaml"))
    cluster.helm("upgrade", "relayrun", CHART, "-n", cluster.namespace, *values, *given, "--wait", "--timeout", "4m")


def runner_names(cluster: Cluster) -> list[str]:
    return [pod["metadata"]["name"] for pod in cluster.runners("all")]


def test_an_author_s_route_is_answered_by_a_runner(cluster: Cluster, http: httpx.Client) -> None:
    told = http.get("/hello").raise_for_status().json()
    assert told["by"] in runner_names(cluster)
    assert http.get("/hello/nobody").status_code == httpx.codes.NOT_FOUND


def test_an_author_s_handlers_say_who_may_call_and_nobody_may_while_none_can_be_asked(
    cluster: Cluster, http: httpx.Client
) -> None:
    ann, bob = ({"Authorization": f"Bearer {name}"} for name in ("ann", "bob"))
    upgrade(cluster, "api.auth=custom", "api.authAgent=all")
    try:
        wait_until(lambda: http.post("/threads", json={}).status_code == httpx.codes.UNAUTHORIZED, "callers are asked")
        assert http.post("/threads", json={}).json()["detail"] == "say your name"
        assert http.get("/hello", headers=ann).json()["asked_by"] == "ann"
        thread = http.post("/threads", json={}, headers=ann).raise_for_status().json()["thread_id"]
        assert http.get(f"/threads/{thread}", headers=bob).status_code == httpx.codes.NOT_FOUND
        # A node calls the API without an address: as the user of its run, and its runs are AgentRuns too.
        run = {"assistant_id": "all/delegates", "input": {}}
        told = http.post("/runs/wait", json=run, headers=ann).raise_for_status().json()
        assert told["done"] == ["one", "two", "three"]
        assert http.get(f"/threads/{told['thread']}", headers=bob).status_code == httpx.codes.NOT_FOUND
        (below,) = http.get(f"/threads/{told['thread']}/runs", headers=ann).raise_for_status().json()
        assert cluster.finished(f"run-{below['run_id']}")["status"]["phase"] == "Succeeded"
        cluster.kubectl("patch", "agent", "all", "--type=merge", "-p", '{"spec":{"suspend":true}}')
        cluster.kubectl("delete", "pod", *runner_names(cluster), "--force", "--grace-period=0")
        assert http.get(f"/threads/{thread}", headers=ann).status_code == httpx.codes.SERVICE_UNAVAILABLE
        cluster.kubectl("patch", "agent", "all", "--type=merge", "-p", '{"spec":{"suspend":false}}')
        wait_until(lambda: http.get(f"/threads/{thread}", headers=ann).is_success, "a runner can be asked", 90)
    finally:
        cluster.kubectl("patch", "agent", "all", "--type=merge", "-p", '{"spec":{"suspend":false}}')
        upgrade(cluster)
    wait_until(lambda: http.get(f"/threads/{thread}").is_success, "everybody is let in again")
