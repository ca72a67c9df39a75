"""Values of a graph as JSON, whatever an author put into the state."""

import dataclasses
import datetime as dt
import enum
import ipaddress
import json
import math
import re
from collections import deque
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pytest
from langchain_core.messages import AIMessage
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel

from relayrun_core import storable
from relayrun_core.errors import NotStorable
from relayrun_runner.graphs.serialize import dumps, dumps_kept


class Color(enum.Enum):
    RED = "red"


class Shade(enum.StrEnum):
    DARK = "dark\0"


class Model(BaseModel):
    price: Decimal = Decimal("1.5")


class Pair(NamedTuple):
    left: int
    right: Any


class Odd(Exception):
    pass


class Old:
    def dict(self) -> dict[str, int]:  # as pydantic's first version
        return {"a": 1}


@dataclasses.dataclass
class Point:
    x: int
    tags: set[str]


ALIKE = [
    (Point(1, {"a"}), {"x": 1, "tags": ["a"]}),
    (Pair(1, {2}), {"left": 1, "right": [2]}),
    (Old(), {"a": 1}),
    (Interrupt(value="ok?", id="1"), {"value": "ok?", "id": "1", "response_schema": None}),
    (Send("node", {"a": 1}), {"node": "node", "args": {"a": 1}}),
    (Command(goto="x"), {"graph": None, "update": None, "resume": None, "goto": "x"}),
    ({1: b"\x00\xff"}, {"1": "AP8="}),
    (bytearray(b"ab"), "YWI="),
    ([{1}, frozenset({2}), deque([3]), (4,)], [[1], [2], [3], [4]]),
    (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
    (ipaddress.ip_network("fd00::/8"), "fd00::/8"),
    (ipaddress.ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
    (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    ([Color.RED, Shade.DARK], ["red", "dark\N{REPLACEMENT CHARACTER}"]),
    (dt.datetime(2020, 1, 2, tzinfo=dt.UTC), "2020-01-02T00:00:00+00:00"),
    ([1j, range(3), Fraction(1, 3), object(), int, len, PurePosixPath("a")], [None] * 7),
    (
        [np.float64(1.5), np.int8(3), np.bool_(True), np.array([[1, 2]]), np.array(["a"])],
        [1.5, 3, True, [[1, 2]], ["a"]],
    ),
    ([np.float64("nan"), np.array([1.5, np.inf]), np.array([1, None])], [None, [1.5, None], [1, None]]),
    ({"nan": math.nan, "all": [math.inf, {-math.inf}]}, {"nan": None, "all": [None, [None]]}),
    (math.nan, None),
    ({"big": 1 << 70, "nan": math.inf}, {"big": 1 << 70, "nan": None}),
    ([10**400], [None]),
    ({(1, 2): 3, b"a": 4, "\ud83d": 5}, {"(1, 2)": 3, "b'a'": 4, "\N{REPLACEMENT CHARACTER}": 5}),
    (
        {True: "\ud83d", None: 1, 1.5: 2, UUID(int=5): 3, Color.RED: 4, dt.date(2020, 1, 2): 5},
        {
            "true": "\N{REPLACEMENT CHARACTER}",
            "null": 1,
            "1.5": 2,
            str(UUID(int=5)): 3,
            "red": 4,
            "2020-01-02": 5,
        },
    ),
]
TOLD = [
    ([Decimal("1.50"), Decimal(3), Decimal("NaN"), Decimal("1E+3")], [1.5, 3, None, 1000]),
    (dt.timedelta(days=1, seconds=2.5), 86402.5),
    (Path("/a/b"), "/a/b"),
    ([re.compile("a+", re.IGNORECASE), re.compile(b"a+")], ["a+", "YSs="]),
    ([dt.date(2020, 1, 2), dt.time(1, 2, 3)], ["2020-01-02", "01:02:03"]),
    ([dt.UTC, dt.timezone(dt.timedelta(hours=2)), ZoneInfo("Europe/Berlin")], ["UTC", "UTC+02:00", None]),
    (KeyError("x\0"), {"error": "KeyError", "message": "'x\\x00'"}),
    (Odd("x"), {"error": "Odd", "message": "An internal error occurred"}),
    (Model(), {"price": 1.5}),
]
KEPT = [
    ([Decimal("1.50"), Decimal(3), Decimal("NaN"), Decimal("1E+3")], ["1.50", "3", "NaN", "1E+3"]),
    (dt.timedelta(days=1, seconds=2.5), [1, 2, 500000]),
    (Path("/a/b"), ["/", "a", "b"]),
    ([re.compile("a+", re.IGNORECASE), re.compile(b"a+")], [["a+", 34], ["YSs=", 0]]),
    (dt.date(2020, 1, 2), [2020, 1, 2]),
    (
        dt.time(1, 2, 3),
        {"hour": 1, "minute": 2, "second": 3, "microsecond": 0, "tzinfo": None, "fold": 0},
    ),
    (dt.datetime(2020, 1, 2, 3, 4, 5, 6, dt.UTC), "2020-01-02T03:04:05.000006+00:00"),
    (
        [dt.UTC, dt.timezone(dt.timedelta(hours=2)), ZoneInfo("Europe/Berlin")],
        [[[0, 0, 0]], [[0, 7200, 0]], "Europe/Berlin"],
    ),
    (Odd("x"), "Odd('x')"),
    (memoryview(b"ab"), "YWI="),
    (Model(), {"price": "1.5"}),
]


@pytest.mark.parametrize(("value", "written"), [*ALIKE, *TOLD])
def test_a_value_is_told_as_this_json(value: Any, written: Any) -> None:
    assert orjson.loads(dumps(value)) == written if not _is_big(written) else json.loads(dumps(value)) == written


@pytest.mark.parametrize(("value", "written"), [*ALIKE, *KEPT])
def test_state_and_history_tell_it_as_this_json(value: Any, written: Any) -> None:
    assert json.loads(dumps_kept(value)) == written


def _is_big(written: Any) -> bool:
    return isinstance(written, dict) and "big" in written  # which orjson reads as a float


def test_a_message_is_written_as_langgraph_writes_it() -> None:
    message = orjson.loads(dumps(AIMessage("hello", id="m1")))
    assert (message["type"], message["content"], message["id"]) == ("ai", "hello", "m1")


@pytest.mark.parametrize("dump", [dumps, dumps_kept])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("a\0b", "a\ufffdb"),
        ("\0\udfff", "\ufffd\ufffd"),
        ("\\u0000", "\\u0000"),
        ("\\\0", "\\\ufffd"),
        ("plain é 🙂", "plain é 🙂"),
    ],
)
def test_nuls_and_lone_surrogates_are_replaced_in_any_place(dump: Any, text: str, told: str) -> None:
    value = {text: [text, {text}, AIMessage(text, id=text), Point(1, {text}), Pair(1, text)]}
    written = orjson.loads(dump(value))
    [(key, [one, other, message, point, pair])] = written.items()
    assert [key, one, *other, message["content"], message["id"], *point["tags"], pair["right"]] == [told] * 7
    assert orjson.loads(dump(text)) == told


def test_a_value_that_holds_itself_is_refused_with_a_sentence() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotStorable, match="nested too deep"):
        dumps(loop)


def test_hundreds_of_levels_are_told() -> None:
    value: Any = 1
    for _ in range(400):
        value = [value]
    assert orjson.loads(dumps(value)) == value


def test_a_value_of_too_many_bytes_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storable, "MAX_BYTES", 100)
    with pytest.raises(NotStorable, match="102 bytes of JSON, more than 100"):
        dumps("x" * 100)


@pytest.mark.parametrize("text", ["\0", "a\0\0b", "\\\0", "\\u0000", "\\u0000\0", "\\\\u0000 \\\\\0"])
def test_a_nul_is_told_apart_from_the_text_of_its_escape(text: str) -> None:
    assert orjson.loads(dumps([text])) == [text.replace("\0", "\N{REPLACEMENT CHARACTER}")]
