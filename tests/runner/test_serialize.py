"""Values of a graph as JSON, whatever an author put into the state."""

import dataclasses
import json
import math
from typing import Any

import orjson
import pytest
from langchain_core.messages import AIMessage
from langgraph.types import Interrupt, Send

from relayrun_runner.serialize import dumps, without_nul


@dataclasses.dataclass
class Point:
    x: int
    tags: set[str]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Point(1, {"a"}), {"x": 1, "tags": ["a"]}),
        (Interrupt(value="ok?", id="1"), {"value": "ok?", "id": "1"}),
        (Send("node", {"a": 1}), {"node": "node", "arg": {"a": 1}}),
        ({1: b"\x00\xff"}, {"1": "AP8="}),
        (KeyError("x"), {"error": "KeyError", "message": "'x'"}),
        ({"nan": math.nan}, {"nan": None}),
        ({"big": 1 << 70, "nan": math.inf}, {"big": 1 << 70, "nan": None}),
    ],
)
def test_a_value_has_this_json(value: Any, written: Any) -> None:
    assert json.loads(dumps(value)) == written


def test_a_message_is_written_as_langgraph_writes_it() -> None:
    message = orjson.loads(dumps(AIMessage("hello", id="m1")))
    assert (message["type"], message["content"], message["id"]) == ("ai", "hello", "m1")


def test_what_has_no_json_becomes_its_repr() -> None:
    assert b"object object" in dumps({"x": object()})


def test_a_lone_surrogate_is_kept_as_an_escape() -> None:
    assert dumps({"text": "\ud800"}) == b'{"text": "\\ud800"}'


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (b'"a\\u0000b"', b'"ab"'),
        (b'"\\\\u0000"', b'"\\\\u0000"'),
        (b'"\\\\\\u0000"', b'"\\\\"'),
        (b'"plain"', b'"plain"'),
    ],
)
def test_nuls_leave_the_json_and_nothing_else_does(text: bytes, clean: bytes) -> None:
    assert without_nul(text) == clean
    orjson.loads(without_nul(text))
