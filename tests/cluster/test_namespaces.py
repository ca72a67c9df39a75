"""One operator for several namespaces, and what their quotas refuse."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.cluster.conftest import SECOND_NAMESPACE
from tests.support.cluster import Cluster, CommandError, Object, agent_run, condition, outcome, unique, wait_until

SLOW = {"count": 12, "step_seconds": 0.5}


@pytest.fixture
def second(cluster: Cluster) -> Cluster:
    """The other namespace that the operator sees to, with the database's Secret."""
    other = replace(cluster, namespace=SECOND_NAMESPACE)
    secret = cluster.get("secret", "relayrun-postgres")
    url = base64.b64decode(secret["data"]["uri"]).decode()
    url = url.replace("@relayrun-postgres:", f"@relayrun-postgres.{cluster.namespace}:")
    copy = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "relayrun-postgres"}, "stringData": {"uri": url}}
    other.apply(copy)
    return other


def test_agents_and_runs_of_one_name_in_two_namespaces_do_not_meet(cluster: Cluster, second: Cluster) -> None:
    name = unique("twin")
    with second.an_agent(runners={"min": 1, "max": 1, "spare": 0}) as agent, cluster.an_agent() as stranger:
        cluster.create(agent_run("slow", "all", name=name, input=SLOW))
        second.create(agent_run("slow", agent, name=name, input=SLOW))
        nobodys = second.run("quick", agent=stranger)
        there = second.running(name)["status"]
        assert second.find("pod", there["runnerName"])
        assert there["runId"] != cluster.running(name)["status"]["runId"]
        second.kubectl("delete", "pod", there["runnerName"], "--force", "--grace-period=0")
        runs = [cluster.finished(name, 90), second.finished(name, 90)]
        assert [outcome(run) for run in runs] == [("Succeeded", "Succeeded")] * 2
        assert [run["status"]["attempts"] for run in runs] == [1, 2]
        waits = condition(second.get("ar", nobodys), "Assigned")
        assert waits["reason"] == "AgentNotFound", "an Agent of another namespace is not there"


def test_a_run_outside_of_the_watched_namespaces_is_left_alone(cluster: Cluster) -> None:
    outside = replace(cluster, namespace="default")
    name = outside.run("quick")
    # The operator has had time for it when it has seen to a later one.
    assert outcome(cluster.finished(cluster.run("quick"))) == ("Succeeded", "Succeeded")
    assert outside.status(name)["observedGeneration"] == -1, "as it was made"
    outside.kubectl("delete", "ar", name)


@contextmanager
def a_quota(cluster: Cluster, what: str, limit: int) -> Iterator[None]:
    """A quota of the namespace, from when it counts."""
    name = unique("quota")
    hard = {what: str(limit)}
    quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard}}
    cluster.create(quota)
    try:
        wait_until(lambda: cluster.get("resourcequota", name).get("status", {}).get("used"), "the quota counts")
        yield
    finally:
        cluster.kubectl("delete", "resourcequota", name)


def test_a_quota_that_refuses_a_runner_shows_on_the_agent_until_it_is_gone(second: Cluster) -> None:
    with second.an_agent(ready=False, runners={"min": 0, "max": 1, "spare": 0}) as agent:
        with a_quota(second, "pods", 0):
            name = second.run("quick", agent=agent)
            ready: Object = wait_until(
                lambda: (
                    (found := condition(second.get("agent", agent), "Ready")).get("reason") == "PodForbidden" and found
                ),
                "the Agent says what is wrong",
            )
            assert ready["status"] == "False"
            assert "exceeded quota" in ready["message"]
            assert condition(second.get("ar", name), "Assigned")["reason"] == "AgentNotReady"
        assert outcome(second.finished(name, 90)) == ("Succeeded", "Succeeded")
        wait_until(
            lambda: condition(second.get("agent", agent), "Ready").get("status") == "True",
            "the Agent says that it is well",
        )


def test_a_quota_of_agentruns_refuses_with_a_sentence_and_a_finished_run_makes_room(second: Cluster) -> None:
    with second.an_agent(ready=False, runners={"min": 1, "max": 1, "spare": 0}) as agent:
        there = len(second.all("ar"))
        with a_quota(second, "count/agentruns.relayrun.dev", there + 1):
            name = second.run("quick", agent=agent, ttlSecondsAfterFinished=1)
            with pytest.raises(CommandError, match=r"exceeded quota: .*count/agentruns\.relayrun\.dev"):
                second.run("quick", agent=agent)
            wait_until(lambda: second.find("ar", name) is None, "it succeeds, and leaves after its TTL", 90)
            again = wait_until(lambda: second.run("quick", agent=agent), "there is room for another")
            assert outcome(second.finished(again)) == ("Succeeded", "Succeeded")
