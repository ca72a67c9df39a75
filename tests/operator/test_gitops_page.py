"""What the docs have for Argo CD and KEDA: health scripts, run by Lua on our statuses, and a ScaledObject."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

from relayrun_core.states import Reason
from relayrun_operator.kube.agentstatus import PoolFacts, agent_status
from relayrun_operator.kube.crds import agent_crd
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.status import Ending, Facts, continued, run_status

DOCS = Path(__file__).parents[2] / "docs"


def example(page: str, word: str) -> Any:
    """The example in YAML that has this word."""
    found = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return yaml.safe_load(next(text for text in found if word in text))


SCRIPTS = example("how-to/gitops.md", "argocd-cm")["data"]
NOW = 1_800_000_000.0
RUNNING = Facts("r", "t", 1, assigned=True, assigned_reason="Running", assigned_message="on s-0", attempts=1)
STARTS = PoolFacts(agent="support", generation=1, wanted=2)


def health(kind: str, status: dict[str, Any] | None, **spec: Any) -> tuple[str, str]:
    """What Argo CD says of an object: its health and the message."""
    script = SCRIPTS[f"resource.customizations.health.relayrun.dev_{kind}"]
    lua = lua51.LuaRuntime()
    found = {"metadata": {"generation": 1}, "spec": spec, **({} if status is None else {"status": status})}
    lua.globals().obj = lua.table_from(found, recursive=True)
    answer = lua.execute(script)
    return str(answer["status"]), str(answer["message"])


def ended(reason: Reason) -> dict[str, Any]:
    return run_status(replace(RUNNING, ending=Ending(reason, "so it ended", NOW)), {}, NOW)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, "Progressing"),
        ({"observedGeneration": -1}, "Progressing"),
        (run_status(RUNNING, {}, NOW), "Progressing"),
        (ended(Reason.SUCCEEDED), "Healthy"),
        (ended(Reason.WAITING_FOR_INPUT), "Suspended"),
        (continued(ended(Reason.WAITING_FOR_INPUT), "refund-2", NOW), "Healthy"),
        (ended(Reason.GRAPH_ERROR), "Degraded"),
        (ended(Reason.CANCELLED), "Degraded"),
        ({**ended(Reason.SUCCEEDED), "observedGeneration": 0}, "Progressing"),
    ],
)
def test_the_health_of_an_agentrun(status: dict[str, Any] | None, expected: str) -> None:
    assert health("AgentRun", status)[0] == expected


@pytest.mark.parametrize(
    ("facts", "spec", "expected"),
    [
        (STARTS, {}, "Progressing"),
        (replace(STARTS, waits_for=["the database does not answer"]), {}, "Progressing"),
        (replace(STARTS, refusal="exceeded quota"), {}, "Degraded"),
        (replace(STARTS, troubles=["graph a: boom"]), {}, "Degraded"),
        (replace(STARTS, ready=2, replicas=2, updated=2), {}, "Healthy"),
        (replace(STARTS, ready=3, replicas=3, updated=1), {}, "Progressing"),
        (replace(STARTS, wanted=0), {}, "Healthy"),
        (replace(STARTS, ready=2, replicas=2, updated=2, suspended=True), {"suspend": True}, "Suspended"),
    ],
)
def test_the_health_of_an_agent(facts: PoolFacts, spec: dict[str, Any], expected: str) -> None:
    status = agent_status(facts, {}, NOW)
    assert health("Agent", status, **spec)[0] == expected


def test_what_is_wrong_is_the_message() -> None:
    status = agent_status(replace(STARTS, refusal="exceeded quota: pods"), {}, NOW)
    assert health("Agent", status) == ("Degraded", "exceeded quota: pods")
    assert health("AgentRun", ended(Reason.GRAPH_ERROR)) == ("Degraded", "so it ended")


def test_keda_scales_what_an_agent_has_by_metrics_that_there_are() -> None:
    scaled = example("reference/metrics.md", "ScaledObject")["spec"]
    assert scaled["scaleTargetRef"] == {"apiVersion": "relayrun.dev/v1alpha1", "kind": "Agent", "name": "support"}
    [version] = agent_crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]
    for path in version["subresources"]["scale"].values():
        at = {"properties": spec}
        for word in path.strip(".").split("."):
            at = at["properties"][word]
    query = next(each["metadata"]["query"] for each in scaled["triggers"] if each["type"] == "prometheus")
    named = set(re.findall(r"relayrun_\w+", query))
    assert named <= {family.name for family in OperatorMetrics().registry.collect()}
    assert len(named) == 2
