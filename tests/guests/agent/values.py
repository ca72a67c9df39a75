"""Values that authors put where JSON, msgpack or Postgres have no place for them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import importlib.util
import ipaddress
import pathlib
import re
import threading
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from typing import Any

import pydantic
from langgraph.types import Send
from pydantic import v1

Pair = namedtuple("Pair", ["one", "other"])


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Box:
    inside: Any


class Model(pydantic.BaseModel):
    inside: Any = float("nan")


class OldModel(v1.BaseModel):
    inside: str = "old"


class Everything:
    """It has every attribute, and each is itself."""

    def __getattr__(self, _name: str) -> Everything:
        return self

    def __call__(self, *_given: Any, **_named: Any) -> Everything:
        return self


class Text(str):
    """A text that is not quite one."""

    __slots__ = ()

    def encode(self, *_given: Any) -> bytes:
        raise ValueError("no")


def nest(depth: int, *, lists: bool = True) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value] if lists else {"in": value}
    return value


def itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


VALUES: dict[str, Callable[[], Any]] = {
    # what JSON and Postgres refuse
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: float("-inf"),
    "nul": lambda: "page 1\0page 2",
    "high surrogate": lambda: "broken \ud83d emoji",
    "low surrogate": lambda: "\udc00",
    "turned surrogates": lambda: "\ude00\ud83d",
    "all of them": lambda: {"\0\ud800": [float("nan"), {"\udfff": "\0"}, ("\ud83d", float("-inf"))]},
    "escapes": lambda: "\\u0000 \\ud800 \\\\u0000",
    "huge": lambda: 10**400,
    "beyond 64 bits": lambda: 1 << 64,
    "below 64 bits": lambda: -(1 << 63) - 1,
    "very huge": lambda: 10**5000,
    "negative zero": lambda: -0.0,
    # too deep, too large, without end
    "deep": lambda: nest(200),
    "deeper": lambda: nest(900, lists=False),
    "too deep": lambda: nest(100_000),
    "too deep, objects": lambda: nest(100_000, lists=False),
    "itself": itself,
    "large": lambda: "x" * 2_000_000,
    "many": lambda: list(range(100_000)),
    # what msgpack does not know
    "function": lambda: lambda: None,
    "type": lambda: int,
    "lock": threading.Lock,
    "thread": threading.current_thread,
    "object": object,
    "generator": lambda: (number for number in range(3)),
    "module": lambda: re,
    "everything": Everything,
    "memoryview": lambda: memoryview(b"seen"),
    "range": lambda: range(3),
    "slice": lambda: slice(1, 2),
    "complex": lambda: 1 + 2j,
    "fraction": lambda: fractions.Fraction(1, 3),
    "ellipsis": lambda: ...,
    "not implemented": lambda: NotImplemented,
    # what looks like something else
    "decimal": lambda: decimal.Decimal("1.10"),
    "decimal nan": lambda: decimal.Decimal("NaN"),
    "timedelta": lambda: dt.timedelta(days=1, seconds=1),
    "longest timedelta": lambda: dt.timedelta.max,
    "first day": lambda: dt.datetime.min.replace(tzinfo=dt.UTC),
    "last day": lambda: dt.datetime.max.replace(tzinfo=dt.UTC),
    "time": lambda: dt.time(1, 2, 3, tzinfo=dt.UTC),
    "date": lambda: dt.date(2024, 2, 29),
    "path": lambda: pathlib.PurePosixPath("/etc/passwd"),
    "address": lambda: ipaddress.ip_address("10.0.0.1"),
    "network": lambda: ipaddress.ip_network("fd00::/8"),
    "pattern": lambda: re.compile("a+"),
    "uuid": lambda: uuid.UUID(int=1),
    "enum": lambda: Colour.RED,
    "named tuple": lambda: Pair(1, "two"),
    "set": lambda: {1},
    "frozen set": lambda: frozenset(["a"]),
    "bytes": lambda: b"\0\xff",
    "bytearray": lambda: bytearray(b"\0"),
    "deque": lambda: deque([1, 2], maxlen=2),
    "counter": lambda: Counter("aab"),
    "ordered": lambda: OrderedDict(a=1),
    "default dict": lambda: defaultdict(list, {"a": [1]}),
    "send": lambda: Send("last", {"a": 1}),
    "exception": lambda: ValueError("told, not raised", "\0\ud800"),
    "box": lambda: Box({float("nan"), "\0"}),
    "model": Model,
    "old model": OldModel,
    "text": lambda: Text("text"),
    # keys
    "number as key": lambda: {1: "a", "1": "b"},
    "none as key": lambda: {None: 1, True: 2, 1.5: 3},
    "tuple as key": lambda: {(1, 2): "a"},
    "long key": lambda: {"k" * 1_000_000: 1},
    "reserved keys": lambda: {"__interrupt__": [1], "__error__": "x", "lc": 1, "type": "constructor", "id": ["os"]},
}
if importlib.util.find_spec("numpy") is not None:  # the runner's own image has none
    import numpy as np

    VALUES |= {
        "true": lambda: np.bool_(True),
        "float": lambda: np.float32("nan"),
        "integer": lambda: np.int64(7),
        "array": lambda: np.array([[1.0, float("inf")], [float("nan"), 4.0]]),
        "array of objects": lambda: np.array([object(), "\ud800"], dtype=object),
        "array of times": lambda: np.array(["2024-02-29"], dtype="datetime64[D]"),
        "empty array": lambda: np.zeros((0, 3)),
    }
