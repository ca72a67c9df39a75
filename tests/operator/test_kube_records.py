"""AgentRuns as records, what a runner is sent of them, and when finished ones leave."""

from typing import Any

import pytest
from pydantic import ValidationError

from relayrun_core.ids import inline_run_id
from relayrun_core.kinds import AgentSpec
from relayrun_core.kinds.identity import RERUN, spec_hash
from relayrun_core.runs import DEFAULT_STREAM_MODES
from relayrun_core.states import RunStatus
from relayrun_operator.kube.cleaning import expired
from relayrun_operator.kube.records import RunRecord, creation_of, head_of, parse_run
from relayrun_operator.kube.status import continued

AGENT = AgentSpec.model_validate({"image": "x", "runDefaults": {"activeDeadlineSeconds": 60, "durability": "Exit"}})
DONE = {"type": "Finished", "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": ""}


def record(name: str = "r", *, status: dict[str, Any] | None = None, **spec: Any) -> RunRecord:
    metadata = {
        "name": name,
        "namespace": "team",
        "uid": f"uid-{name}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "resourceVersion": "7",
    }
    body = {"metadata": metadata, "spec": {"agentRef": {"name": "support"}, **spec}, "status": status or {}}
    return parse_run(body)


def finished(
    name: str, minute: int, ttl: int | None = None, *, kind: str = "Complete", phase: str = "Succeeded"
) -> RunRecord:
    done = {**DONE, "lastTransitionTime": f"2026-01-01T00:{minute:02}:00Z"}
    status = {"conditions": [done, {**done, "type": kind}], "phase": phase}
    return record(name, status=status, ttlSecondsAfterFinished=ttl)


def test_a_run_from_kubectl_gets_its_ids_from_its_object() -> None:
    run = record(thread="refund", owner="ann", input={})
    assert run.inline
    assert run.run_id == str(inline_run_id("uid-r"))
    # Which thread that is only the database knows; here it is told apart from others.
    assert run.facts.thread_id is None
    same = record("other", thread="refund", owner="ann", input={})
    assert run.thread == same.thread != record("other", thread="refund", owner="bob", input={}).thread
    assert record("a").facts.thread_id != record("b").facts.thread_id


def test_a_run_of_the_api_carries_its_own_ids() -> None:
    run_id = "019a0000-0000-7000-8000-000000000001"
    run = record(runId=run_id, thread="019a0000-0000-7000-8000-000000000002")
    assert (run.inline, run.run_id) == (False, run_id)
    assert run.facts.thread_id == "019a0000-0000-7000-8000-000000000002"


def test_what_a_run_leaves_out_is_the_agents() -> None:
    run = record(input={"a": 1}, interruptBefore=["*"])
    assert run.spec is not None
    sent = creation_of(run, run.spec, AGENT)
    spec = sent.spec
    assert (spec.active_deadline_seconds, spec.durability, spec.backoff_limit) == (60, "exit", 2)
    assert (spec.input, spec.interrupt_before, spec.interrupt_after) == ({"a": 1}, "*", None)
    head = head_of(run, run.spec, AGENT, 5)
    assert (head.status, head.active_deadline_seconds, head.active_deadline) == (RunStatus.PENDING, 60.0, None)


def test_a_spec_that_nobody_understands_is_an_error() -> None:
    with pytest.raises(ValidationError):
        record(inputs={})


def test_a_finished_run_keeps_no_payload() -> None:
    run = finished("r", 1)
    assert run.finished
    assert run.spec is None


def test_runs_leave_after_their_ttl() -> None:
    run = finished("r", 1, ttl=30)
    assert expired([run], {}, run.completed_at + 29) == []
    assert expired([run], {}, run.completed_at + 30) == [run]


def test_who_cannot_be_deleted_is_asked_for_once_a_minute() -> None:
    """A finalizer holds it up, or admission refuses: thousands of them must not keep all others from leaving."""
    stuck, other = finished("stuck", 1, ttl=0), finished("other", 2, ttl=0)
    stuck.deletion_asked_at = now = other.completed_at + 10
    assert expired([stuck, other], {}, now + 59) == [other]
    assert expired([stuck, other], {}, now + 60) == [stuck, other]
    old, new = finished("old", 3), finished("new", 4)
    old.deletion_asked_at = now
    assert expired([old, new], {"team/support": 1}, now + 1) == []


def test_the_oldest_leave_when_the_history_is_too_long() -> None:
    runs = [finished(f"r{minute}", minute) for minute in (3, 1, 2)] + [finished("ttl", 0, ttl=10**9), record("open")]
    leaving = expired(runs, {"team/support": 1}, 0.0)
    assert [run.name for run in leaving] == ["r1", "r2"]


def test_what_nobody_may_have_read_stays_whatever_the_history() -> None:
    waits = finished("waits", 1, kind="Waiting", phase="WaitingForInput")
    answered = finished("answered", 2, kind="Waiting", phase="WaitingForInput")
    answered.status = continued(answered.status, "later", 0.0)
    failed = finished("failed", 3, kind="Failed", phase="Failed")
    runs = [waits, answered, failed, finished("done", 4, kind="Complete", phase="Succeeded")]
    assert {run.name for run in expired(runs, {"team/support": 0}, failed.completed_at + 60)} == {"answered", "done"}
    later = expired(runs, {"team/support": 0}, failed.completed_at + 86400)
    assert {run.name for run in later} == {"answered", "done", "failed"}
    assert [run.name for run in expired(runs, {"team/support": 1}, failed.completed_at + 60)] == ["answered"]


def test_a_spec_has_one_hash_however_it_is_written_and_another_one_for_each_wish_to_run_again() -> None:
    spec = {"agentRef": {"name": "support"}, "input": {"a": 1, "b": [1, 2]}}
    first = spec_hash(spec, {})
    filled_in = {**spec, "input": {"b": [1, 2], "a": 1}, "durability": None, "streamSubgraphs": False, "config": {}}
    defaults = {
        "startingDeadlineSeconds": 86400,
        "multitaskStrategy": "Enqueue",
        "streamModes": [*DEFAULT_STREAM_MODES],
    }
    changeable = {"cancel": "Interrupt", "ttlSecondsAfterFinished": 5}
    assert spec_hash({**filled_in, **defaults, **changeable}, {"other": "annotation"}) == first
    others = [
        spec_hash({**spec, "input": {"a": 2, "b": [1, 2]}}, {}),
        spec_hash({**spec, "thread": "refund"}, {}),
        spec_hash(spec, {RERUN: "1"}),
        spec_hash(spec, {RERUN: "2"}),
    ]
    assert len({first, *others}) == 5


def test_only_what_a_person_made_has_a_hash_to_be_known_again_by() -> None:
    assert record(input={}).spec_hash
    assert not record(runId="019a0000-0000-7000-8000-000000000001", thread="t").spec_hash
