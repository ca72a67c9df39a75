"""The kinds as a user writes them in YAML."""

from typing import Any

import pytest
from pydantic import ValidationError

from relayrun_core.kinds import Agent, AgentRun


def agent_run(**spec: Any) -> AgentRun:
    return AgentRun.model_validate(
        {
            "apiVersion": "relayrun.dev/v1alpha1",
            "kind": "AgentRun",
            "metadata": {"name": "refund-4711", "managedFields": []},
            "spec": {"agentRef": {"name": "support"}, **spec},
        }
    )


def agent(**spec: Any) -> Agent:
    return Agent.model_validate({"metadata": {"name": "support"}, "spec": {"image": "support:1.4", **spec}})


def test_a_run_needs_no_more_than_its_agent() -> None:
    run = agent_run()
    assert run.spec.multitask_strategy == "Enqueue"
    assert run.spec.starting_deadline_seconds == 86400
    assert run.spec.ttl_seconds_after_finished is None


def test_fields_are_camel_case_outside() -> None:
    text = agent_run(thread="t", ttlSecondsAfterFinished=30).model_dump(by_alias=True, exclude_defaults=True)
    assert text["spec"] == {"agentRef": {"name": "support"}, "thread": "t", "ttlSecondsAfterFinished": 30}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"input": {}, "command": {"resume": 1}, "thread": "t"}, "at most one of"),
        ({"command": {"resume": "yes"}}, "command needs a thread"),
        ({"inputs": {}}, "Extra inputs"),
        ({"thread": "x" * 257}, "at most 256"),
        ({"input": "text"}, "valid dictionary"),
        ({"cancel": "interrupt"}, "'Interrupt' or 'Rollback'"),
        ({"streamModes": ["value"]}, "Input should be 'values', 'updates'"),
    ],
)
def test_a_bad_run_is_refused_with_a_sentence(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        agent_run(**spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"runners": {"min": 5, "max": 2}}, "must not be greater"),
        ({"isolation": "Pod", "runsPerRunner": 3}, "needs isolation Shared"),
        ({"image": ""}, "at least 1 character"),
    ],
)
def test_a_bad_agent_is_refused_with_a_sentence(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        agent(**spec)


@pytest.mark.parametrize(("spec", "slots"), [({}, 10), ({"runsPerRunner": 3}, 3), ({"isolation": "Pod"}, 1)])
def test_an_agents_slots(spec: dict[str, Any], slots: int) -> None:
    assert agent(**spec).spec.slots == slots
