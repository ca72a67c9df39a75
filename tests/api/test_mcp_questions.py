"""Questions as forms of each version of the protocol, whatever agents ask."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import orjson
import pytest
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from relayrun_api.mcp.calls import call_result
from relayrun_api.mcp.messages import Dialect, result_body
from relayrun_api.mcp.questions import form_of
from relayrun_api.runs.ending import Ending
from relayrun_core.states import RunStatus

MODERN = MODERN_PROTOCOL_VERSIONS[-1]
CHOICES = {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}
TITLED = {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}}
TEXT = {"type": "object", "properties": {"answer": {"type": "string", "title": "Answer"}}, "required": ["answer"]}


def a_question(value: Any = "ok?", schema: Any = None) -> dict[str, Any]:
    return {"id": "q" * 32, "value": value, "response_schema": schema}


def fields(**of: Any) -> dict[str, Any]:
    return {"type": "object", "properties": of}


@pytest.mark.parametrize(
    ("schema", "asked"),
    [
        pytest.param(None, TEXT, id="none"),
        pytest.param(fields(a={"type": "string"}), fields(a={"type": "string"}), id="fields"),
        pytest.param(
            {**fields(a={"type": "string"}), "required": ["a", "b", 5]},
            {**fields(a={"type": "string"}), "required": ["a"]},
            id="what it has is required",
        ),
        pytest.param({**fields(a={"type": "string"}), "required": "a"}, fields(a={"type": "string"}), id="no list"),
        pytest.param(fields(a=CHOICES, b=TITLED), fields(a=CHOICES, b=TITLED), id="choices"),
        pytest.param(fields(a={"type": "array", "items": {"type": "string"}}), None, id="a list of any texts"),
        pytest.param(fields(a={"type": "array"}), None, id="a list of anything"),
        pytest.param(fields(a={"type": ["string", "null"]}), None, id="several types"),
        pytest.param(fields(a=fields(b={"type": "string"})), None, id="an object within"),
        pytest.param(fields(), None, id="nothing"),
        pytest.param({"type": "object", "properties": [1]}, None, id="properties that are none"),
        pytest.param(5, None, id="a schema that is none"),
    ],
)
def test_a_schema_is_asked_as_a_form_where_one_can_ask_it(schema: Any, asked: Any) -> None:
    form = form_of(a_question(schema=schema), MODERN)
    assert (form and form["requestedSchema"]) == asked


def test_older_versions_have_no_lists() -> None:
    question = a_question(schema=fields(a=CHOICES))
    assert [form_of(question, version) is not None for version in ("2025-06-18", "2025-11-25", MODERN)] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"action_requests": [{"name": "pay"}, {}]}, ["decision_1", "decision_2"]),
        ({"action_requests": [{"name": "pay"}], "review_configs": [{"allowed_decisions": ["approve"]}]}, ["answer"]),
        ({"action_requests": [{}], "review_configs": [{"allowed_decisions": 5}]}, ["answer"]),
        ({"action_requests": [{}], "review_configs": [{"allowed_decisions": [{}]}]}, ["answer"]),
        ({"action_requests": [{}], "review_configs": 5}, ["decision_1"]),
        ({"action_requests": [5]}, ["answer"]),
        ({"action_requests": {}}, ["answer"]),
        (None, ["answer"]),
    ],
)
def test_decisions_are_asked_of_langchains_middleware_alone(value: Any, names: list[str]) -> None:
    form = form_of(a_question(value), MODERN)
    assert form is not None
    assert list(form["requestedSchema"]["properties"]) == names


@pytest.mark.parametrize("schema", [None, fields(a=CHOICES), {**fields(a={"type": "string"}), "required": 5}, 5])
def test_every_question_is_a_result(schema: Any) -> None:
    values = orjson.dumps({"__interrupt__": [a_question(schema=schema)]})
    ending = Ending(status=RunStatus.INTERRUPTED, values=values, error=None)
    result = call_result(ending, uuid4(), uuid4(), asks=MODERN)
    told = orjson.loads(result_body(1, "tools/call", result, Dialect(MODERN, modern=True)))
    assert told["result"]["resultType"] == ("complete" if schema == 5 else "input_required")
