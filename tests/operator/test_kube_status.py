"""Status as people read it: derived from what is known, with times that move only when something flips."""

from dataclasses import replace
from typing import Any

import pytest

from relayrun_core.kinds import AgentRunStatus, AgentStatus
from relayrun_core.states import Reason
from relayrun_operator.kube.agents import taken_names
from relayrun_operator.kube.agentstatus import PoolFacts, agent_status, readiness
from relayrun_operator.kube.conditions import timestamp
from relayrun_operator.kube.manifests import Installation
from relayrun_operator.kube.records import AgentRecord, parse_agent
from relayrun_operator.kube.status import Ending, Facts, continued, facts_of, finished_at, is_finished, run_status

RUN, THREAD = "019a0000-0000-7000-8000-000000000001", "019a0000-0000-7000-8000-000000000002"
NOW = 1_800_000_000.0
QUEUED = Facts(RUN, THREAD, 1, assigned=False, assigned_reason="NoCapacity", assigned_message="all is taken")
RUNNING = replace(
    QUEUED,
    assigned=True,
    assigned_reason="Running",
    assigned_message="on s-0",
    runner="s-0",
    attempts=1,
    started_at=NOW,
)


def ended(reason: Reason, **more: Any) -> Facts:
    return replace(RUNNING, ending=Ending(reason, "so it ended", NOW + 5, **more))


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in status["conditions"]}


@pytest.mark.parametrize(
    ("facts", "phase", "reason", "expected"),
    [
        (Facts(RUN, THREAD), "Queued", None, {}),
        (QUEUED, "Queued", "NoCapacity", {"Assigned": ("False", "NoCapacity")}),
        (RUNNING, "Running", "Running", {"Assigned": ("True", "Running")}),
        (ended(Reason.SUCCEEDED), "Succeeded", "Succeeded", {"Complete": ("True", "Succeeded")}),
        (
            ended(Reason.WAITING_FOR_INPUT),
            "WaitingForInput",
            "WaitingForInput",
            {"Waiting": ("True", "WaitingForInput")},
        ),
        (ended(Reason.GRAPH_ERROR), "Failed", "GraphError", {"Failed": ("True", "GraphError")}),
        (ended(Reason.DEADLINE_EXCEEDED), "Failed", "DeadlineExceeded", {"Failed": ("True", "DeadlineExceeded")}),
        (ended(Reason.CANCELLED), "Cancelled", "Cancelled", {"Failed": ("True", "Cancelled")}),
    ],
)
def test_phase_reason_and_conditions(
    facts: Facts, phase: str, reason: str | None, expected: dict[str, tuple[str, str]]
) -> None:
    status = run_status(facts, {}, NOW)
    assert (status["phase"], status.get("reason")) == (phase, reason)
    found = conditions(status)
    if facts.ending is not None:
        assert found.pop("Assigned") == ("True", "Running")
        assert found.pop("Finished") == ("True", facts.ending.reason.value)
    # For kstatus: in progress, done, or failed.
    done, failed = phase == "Succeeded", phase in ("Failed", "Cancelled")
    assert found.pop("Ready") == ("True" if done else "False", reason or "Queued")
    assert found.pop("Stalled", None) == (("True", reason) if failed else None)
    assert found == expected
    assert is_finished(status) == (facts.ending is not None)
    AgentRunStatus.model_validate(status)


def test_a_paused_run_is_ready_once_its_thread_has_gone_on() -> None:
    paused = run_status(ended(Reason.WAITING_FOR_INPUT), {}, NOW)
    assert conditions(paused)["Ready"] == ("False", "WaitingForInput")
    known_before = run_status(ended(Reason.WAITING_FOR_INPUT, already=True, continued=True), {}, NOW)
    for status in (continued(paused, "refund-2", NOW), known_before):
        assert (conditions(status)["Ready"], conditions(status)["Waiting"]) == (
            ("True", "Continued"),
            ("False", "Continued"),
        )
        assert is_finished(status)


def test_the_end_of_a_run_that_was_there_before_is_told_with_its_times() -> None:
    before = ended(Reason.GRAPH_ERROR, already=True, completed_at=NOW - 900)
    status = run_status(replace(before, started_at=NOW - 1000), {}, NOW)
    assert (status["phase"], status["reason"]) == ("Failed", "AlreadyExecuted")
    assert (status["startTime"], status["completionTime"]) == (timestamp(NOW - 1000), timestamp(NOW - 900))
    assert conditions(status)["Failed"] == ("True", "GraphError")
    assert finished_at(status) == NOW + 5, "its time to live begins anew"


def test_a_condition_keeps_its_time_until_it_flips() -> None:
    first = run_status(QUEUED, {}, NOW)
    again = run_status(replace(QUEUED, assigned_reason="ThreadBusy"), first, NOW + 60)
    assert again["conditions"][0]["reason"] == "ThreadBusy"
    assert again["conditions"][0]["lastTransitionTime"] == timestamp(NOW)
    running = run_status(replace(RUNNING, started_at=NOW + 90), again, NOW + 90)
    assert running["conditions"][0]["lastTransitionTime"] == timestamp(NOW + 90)


def test_the_reason_of_a_death_is_told_while_the_run_has_not_moved_on_twice() -> None:
    resumed = replace(RUNNING, assigned_message="on s-1", runner="s-1", former="s-0", attempts=2)
    died = replace(resumed, death=("s-0", "OOMKilled, exit code 137"))
    status = run_status(died, {}, NOW)
    assert status["message"] == "on s-1 (s-0 died: OOMKilled, exit code 137)"
    assert {entry["message"] for entry in status["conditions"]} == {status["message"]}
    assert run_status(replace(died, runner="s-2", former="s-1"), {}, NOW)["message"] == "on s-1"


def test_messages_have_the_length_that_the_schema_allows() -> None:
    status = run_status(replace(QUEUED, assigned_message="x" * 5000), {}, NOW)
    assert len(status["message"]) == 1024


def test_the_next_operator_reads_what_the_last_one_wrote() -> None:
    assert facts_of(run_status(RUNNING, {}, NOW), RUN, THREAD, 1) == RUNNING


@pytest.mark.parametrize("attempts", [-1, 2**31 - 1])
def test_what_cannot_have_been_is_not_believed(attempts: int) -> None:
    """A person wrote it; no runner takes a next attempt of such a number."""
    facts = facts_of({"attempts": attempts, "startTime": "0000-01-01T00:00:00Z"}, RUN, THREAD, 1)
    assert (facts.attempts, facts.started_at) == (0, None)


def test_output_is_shown_where_there_is_some() -> None:
    assert run_status(ended(Reason.SUCCEEDED, output={"a": 1}), {}, NOW)["output"] == {"a": 1}
    assert "output" not in run_status(ended(Reason.SUCCEEDED), {}, NOW)


def pod(
    *,
    waiting: dict[str, str] | None = None,
    restarts: int = 0,
    ended: str | dict[str, Any] = "",
    unschedulable: str = "",
) -> Any:
    status: dict[str, Any] = {"name": "runner", "ready": False, "restartCount": restarts, "state": {"waiting": waiting}}
    if ended:
        why = {"message": ended, "reason": "Error"} if isinstance(ended, str) else ended
        status["lastState"] = {"terminated": {"exitCode": 1, **why}}
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unschedulable}
    return {"status": {"containerStatuses": [status], "conditions": [scheduled] if unschedulable else []}}


@pytest.mark.parametrize(
    ("changes", "holds", "reason", "words"),
    [
        ({"ready": 2}, True, "RunnersReady", "ready: 2"),
        ({"wanted": 0}, True, "RunnersReady", "the first run starts one"),
        ({}, False, "Progressing", "the others start"),
        ({"refusal": "exceeded quota: pods"}, False, "PodForbidden", "exceeded quota: pods"),
        (
            {"pods": [pod(waiting={"reason": "ErrImagePull", "message": "no such host"})]},
            False,
            "ImagePullFailed",
            "host",
        ),
        (
            {"pods": [pod(waiting={"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'})]},
            False,
            "ContainerStartFailed",
            "not found",
        ),
        (
            {"pods": [pod(restarts=3, ended="a\nboom")]},
            False,
            "CrashLooping",
            "3 times, exit code 1; its last line: boom",
        ),
        (
            {"pods": [pod(restarts=3, ended={"exitCode": 137, "reason": "OOMKilled", "message": "step 4 of 9"})]},
            False,
            "CrashLooping",
            "3 times, OOMKilled, exit code 137 (signal 9); its last line: step 4 of 9",
        ),
        ({"pods": [pod(restarts=1, ended="boom")]}, False, "Progressing", "the others start"),
        ({"pods": [pod(unschedulable="0/1 nodes")]}, False, "Unschedulable", "0/1 nodes"),
        ({"troubles": ["graph a: boom\nTraceback"]}, False, "GraphLoadFailed", "graph a: boom"),
        ({"waits_for": ["the database does not answer"]}, False, "DatabaseUnavailable", "does not answer"),
        ({"ready": 1, "refusal": "quota"}, True, "RunnersReady", "PodForbidden: quota"),
        ({"ready": 2, "suspended": True}, True, "RunnersReady", "suspended"),
    ],
)
def test_an_agents_readiness(changes: dict[str, Any], holds: bool, reason: str, words: str) -> None:
    facts = replace(PoolFacts(agent="support", generation=1, wanted=2), **changes)
    ready, why, message = readiness(facts)
    assert (ready, why.value) == (holds, reason)
    assert words in message
    status = AgentStatus.model_validate(agent_status(facts, {}, NOW))
    assert status.selector == "relayrun.dev/agent=support"


def test_an_agent_is_in_progress_failed_or_done_for_kstatus_as_long_as_it_is() -> None:
    starts = PoolFacts(agent="support", generation=2, wanted=2)
    status = agent_status(starts, {}, NOW)
    assert set(conditions(status)) == {"Ready", "Reconciling"}
    status = agent_status(replace(starts, pods=[pod(waiting={"reason": "ErrImagePull"})]), status, NOW)
    assert conditions(status)["Stalled"] == ("True", "ImagePullFailed")
    assert "Reconciling" not in conditions(status)
    rolls = replace(starts, replicas=3, ready=3, updated=1)
    status = agent_status(rolls, status, NOW)
    assert (conditions(status)["Ready"][0], conditions(status)["Reconciling"]) == ("True", ("True", "Progressing"))
    broken = agent_status(replace(rolls, troubles=["graph agent: ImportError"]), status, NOW)
    [told] = [each["message"] for each in broken["conditions"] if each["type"] == "Reconciling"]
    assert told.endswith("1 of 3; GraphLoadFailed: graph agent: ImportError")
    assert set(conditions(agent_status(replace(rolls, updated=3), status, NOW))) == {"Ready"}


def test_what_an_authors_code_says_neither_steers_a_terminal_nor_forges_a_line() -> None:
    """An AgentRun with its payload says how its graph failed."""
    said = "no\x1b[2J\x9b\u202e\nStatus:  all is well"
    ending = Ending(Reason.GRAPH_ERROR, said, 1_000.0)
    status = run_status(Facts("r", "t", ending=ending), {}, 1_000.0)
    told = [status["message"], *(entry["message"] for entry in status["conditions"])]
    assert told == ["no\\x1b[2J\\x9b\\u202e\\nStatus:  all is well"] * 5


def agent_called(name: str, created: str, *graphs: str, **spec: Any) -> AgentRecord:
    metadata = {"name": name, "namespace": "n", "resourceVersion": "1", "uid": name, "creationTimestamp": created}
    body = {"metadata": metadata, "spec": {"image": "i", **spec}, "status": {"graphs": list(graphs)}}
    return parse_agent(body, Installation("token"))


FIRST, SECOND, THIRD = (f"2026-0{month}-01T00:00:00Z" for month in (1, 2, 3))


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ([agent_called("a", FIRST, "g"), agent_called("b", FIRST, "h")], {}),
        ([agent_called("b", FIRST, "g"), agent_called("a", SECOND, "g", "h")], {"n/a": {"g": "b"}}),
        ([agent_called("b", FIRST, "g"), agent_called("a", FIRST, "g")], {"n/b": {"g": "a"}}),
        (
            [agent_called("c", THIRD, "g"), agent_called("b", SECOND, "g", "h"), agent_called("a", FIRST, "g")],
            {"n/b": {"g": "a"}, "n/c": {"g": "a"}},
        ),
        (
            [
                agent_called("c", THIRD, "g", traffic={"group": "x", "weight": 1}),
                agent_called("b", SECOND, "g", traffic={"group": "y", "weight": 1}),
                agent_called("a", FIRST, "g", traffic={"group": "x"}),
            ],
            {"n/b": {"g": "a"}},
        ),
    ],
)
def test_the_older_agent_has_a_graphs_name(agents: list[AgentRecord], expected: dict[str, dict[str, str]]) -> None:
    assert taken_names(agents, lambda agent: agent.status["graphs"]) == expected


def test_a_name_that_is_taken_is_a_condition_until_it_is_free() -> None:
    facts = PoolFacts(generation=1, wanted=1, ready=1, agent="b", taken={"g": "a"})
    status = agent_status(facts, {}, NOW)
    assert conditions(status) == {"Ready": ("True", "RunnersReady"), "NameConflict": ("True", "NameTaken")}
    told = next(entry["message"] for entry in status["conditions"] if entry["type"] == "NameConflict")
    assert told == "graph g is that of Agent a, which is older: this one's is called b/g"
    free = agent_status(replace(facts, taken={}), status, NOW + 5)
    assert conditions(free) == {"Ready": ("True", "RunnersReady")}
