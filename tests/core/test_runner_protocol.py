"""What runners and their callers say to each other: each side understands the other, newer and older ones too."""

from typing import Any, get_args
from uuid import uuid4

import orjson
import pytest
from pydantic import ValidationError

from relayrun_core import storable
from relayrun_core.runner_protocol import (
    AlreadyFinished,
    AssignRequest,
    AttemptState,
    BackOff,
    HeartbeatLine,
    ListLine,
    NewRunBody,
    OutcomeBody,
    Refusal,
    RunLine,
    RunReport,
    StopAction,
    ThreadBusy,
    parse_line,
    parse_refusal,
)
from relayrun_core.runs import ObjectRef, RunSpec
from relayrun_core.states import CancelAction, Reason, RunStatus

WHATEVER = {
    "revision": "5d41402a",
    "seconds": 1.0,
    "suspect": False,
    "attempt": 3,
    "by": "another run",
    "graph": "g",
    "message": "m",
}


@pytest.mark.parametrize("kind", get_args(Refusal), ids=lambda kind: kind.__name__)
def test_every_refusal_is_understood_by_its_reason(kind: type[Refusal]) -> None:
    refusal = kind(**{name: value for name, value in WHATEVER.items() if name in kind.model_fields})
    assert refusal.reason == kind.__name__
    assert parse_refusal(storable.dumps(refusal.model_dump())) == refusal


def test_what_a_newer_side_adds_is_ignored_and_what_it_means_otherwise_is_an_error() -> None:
    assert parse_refusal(b'{"reason": "ThreadBusy", "by": "x", "since": 1}') == ThreadBusy(by="x")
    for unknown in (b'{"reason": "Tired"}', b'{"reason": "BackOff"}', b"{}", b"<html>", b""):
        with pytest.raises(ValidationError):
            parse_refusal(unknown)
    assert parse_refusal(storable.dumps(BackOff(seconds=2, suspect=True, attempt=1).model_dump())).reason == "BackOff"


def test_every_line_of_the_stream_is_understood() -> None:
    outcome = OutcomeBody(status=RunStatus.SUCCESS, reason=Reason.SUCCEEDED, output={"answer": [1, None]})
    told = RunReport(run_id="r", attempt=2, state=AttemptState.FINISHED, outcome=outcome)
    line = RunLine(**told.model_dump())
    for said in (line, HeartbeatLine(lag_ms=0.5), ListLine(holder="h", slots=3, runs=[told], deaths={"Killed": 1})):
        assert parse_line(storable.dumps(said.model_dump())) == said
    with pytest.raises(ValidationError):
        parse_line(b'{"type": "weather"}')


def test_what_authors_nest_deep_is_understood_on_both_sides() -> None:
    deep: Any = "deep"
    for _ in range(240):
        deep = {"a": deep}
    outcome = OutcomeBody(status=RunStatus.SUCCESS, reason=Reason.SUCCEEDED, output=deep)
    line = RunLine(run_id="r", attempt=1, state=AttemptState.FINISHED, outcome=outcome)
    assert parse_line(storable.dumps(line.model_dump())) == line
    finished = AlreadyFinished(attempt=1, outcome=outcome)
    assert AlreadyFinished.parse(storable.dumps(finished.model_dump())) == finished
    create = NewRunBody(thread_id=uuid4(), agent="a", spec=RunSpec(input={"a": deep}), object=ObjectRef("n", "x", "u"))
    asked = AssignRequest(attempt=1, create=create)
    assert AssignRequest.parse(asked.model_dump_json().encode()) == asked


def test_an_output_is_sent_as_it_is_stored_and_none_is_left_out() -> None:
    outcome = OutcomeBody(status=RunStatus.SUCCESS, output=orjson.Fragment(b'{"a":  1}'))
    assert b'"output":{"a":  1}' in storable.dumps(
        RunReport(run_id="r", attempt=1, state="Finished", outcome=outcome).model_dump()
    )
    assert "output" not in OutcomeBody(status=RunStatus.ERROR).model_dump()


def test_an_abandoned_attempt_leaves_its_run_alone() -> None:
    assert {action: action.cancel for action in StopAction} == {
        StopAction.INTERRUPT: CancelAction.INTERRUPT,
        StopAction.ROLLBACK: CancelAction.ROLLBACK,
        StopAction.ABANDON: None,
    }
