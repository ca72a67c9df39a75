"""What the API server refuses, and the words a person reads then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.cluster import API_VERSION, Cluster, CommandError, agent_run

INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "two payloads": ({"input": {}, "command": {"resume": 1}, "thread": "t"}, "at most one of input, command and runId"),
    "a command without a thread": ({"command": {"resume": 1}}, "command needs a thread"),
    "an unknown field": ({"inputs": {}}, r'unknown field "(spec\.)?inputs"'),
    "a wrong enum": ({"durability": "Sometimes"}, "spec.durability: Unsupported value"),
    "a negative deadline": ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds"),
    "a payload that is no object": ({"input": "hello"}, "spec.input"),
    "a configurable that is no object": ({"config": {"configurable": 3}}, "spec.config.configurable"),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_run_is_refused_with_a_sentence(cluster: Cluster, case: str) -> None:
    spec, sentence = INVALID[case]
    with pytest.raises(CommandError, match=sentence):
        cluster.create(agent_run("quick", **spec))


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "input": ({"input": {"count": 2}}, "input is immutable: create another AgentRun"),
    "thread": ({"thread": "another"}, "thread is immutable"),
    "a field that was not there": ({"graph": None}, "graph is immutable"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_run_cannot_be_changed(cluster: Cluster, case: str) -> None:
    change, sentence = CHANGES[case]
    name = cluster.run("quick", input={"count": 1}, thread="fixed")
    with pytest.raises(CommandError, match=sentence):
        cluster.kubectl("patch", "ar", name, "--type=merge", "-p", json.dumps({"spec": change}))


def test_a_cancel_cannot_be_taken_back(cluster: Cluster) -> None:
    name = cluster.run("quick", agent="no-such-agent", cancel="Interrupt")
    with pytest.raises(CommandError, match="a cancel cannot be taken back"):
        cluster.kubectl("patch", "ar", name, "--type=merge", "-p", '{"spec":{"cancel":null}}')


def test_a_wrong_agent_is_refused(cluster: Cluster) -> None:
    spec = {"image": "x", "runners": {"min": 3, "max": 1}}
    agent = {"apiVersion": API_VERSION, "kind": "Agent", "metadata": {"name": "wrong"}, "spec": spec}
    with pytest.raises(CommandError, match="min must not be greater than max"):
        cluster.create(agent)
    agent = {**agent, "spec": {"image": "x", "isolation": "Pod", "runsPerRunner": 2}}
    with pytest.raises(CommandError, match="runsPerRunner needs isolation Shared"):
        cluster.create(agent)
    agent = {**agent, "metadata": {"name": "1st"}, "spec": {"image": "x"}}
    with pytest.raises(CommandError, match="with a letter first"):
        cluster.create(agent)


def test_300_kilobytes_can_be_created_but_not_applied(cluster: Cluster) -> None:
    big = agent_run("quick", input={"done": [], "count": 1, "text": "x" * 300_000})
    with pytest.raises(CommandError, match=r"metadata\.annotations: Too long"):
        cluster.apply(big)
    cluster.create(big)
    cluster.kubectl("delete", "ar", big["metadata"]["name"])


def test_2_megabytes_are_refused(cluster: Cluster) -> None:
    with pytest.raises(CommandError, match=r"(?i)too large|limit is|exceeds|larger than"):
        cluster.create(agent_run("quick", input={"text": "x" * 2_000_000}))


def test_kubectl_explains_every_field(cluster: Cluster) -> None:
    assert "starting" in cluster.kubectl("explain", "agentrun.spec.startingDeadlineSeconds").lower()
    assert "runner" in cluster.kubectl("explain", "agent.spec.runsPerRunner").lower()
