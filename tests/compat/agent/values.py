"""A graph whose state holds what JSON has no word for."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import re
import uuid
import zoneinfo
from typing import Any, NamedTuple

import pydantic
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Interrupt, Send, interrupt
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12


class Pair(NamedTuple):
    left: int
    right: Any


@dataclasses.dataclass
class Point:
    x: int
    tags: Any


class Color(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Shade(str, enum.Enum):  # noqa: UP042 - not the same as a StrEnum
    DARK = "dark"


class Model(pydantic.BaseModel):
    price: decimal.Decimal = decimal.Decimal("1.5")
    day: dt.date = dt.date(2020, 1, 2)


class Old:
    """A model of pydantic's first version, as far as its JSON goes."""

    def dict(self) -> dict[str, int]:
        return {"a": 1}


class Odd(Exception):
    """Nobody knows it."""


class State(TypedDict, total=False):
    """Each as a whole channel, and all of them within one."""

    all: Any
    nan: float
    infinity: float
    nul: str
    surrogate: str
    decimal: Any
    enum: Any
    shade: Any
    large: Any
    model: Any
    point: Any
    answer: Any


def values() -> dict[str, Any]:
    return {
        "decimal": [decimal.Decimal(text) for text in ("1.50", "3", "NaN", "1E+3")],
        "timedelta": dt.timedelta(days=1, seconds=2.5),
        "path": pathlib.Path("/a/b"),
        "addresses": [ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("fd00::/8")],
        "interface": ipaddress.ip_interface("10.0.0.1/8"),
        "patterns": [re.compile("a+", re.IGNORECASE), re.compile(b"a+")],
        "namedtuple": Pair(1, {2}),
        "send": Send("node", {"a": 1}),
        "command": Command(goto="x", update={"a": 1}),
        "interrupt": Interrupt(value="v", id="i"),
        "sets": [{1}, frozenset({2}), collections.deque([3]), (4,)],
        "bytes": [b"\x00\xff", bytearray(b"ab")],
        "uuid": uuid.UUID(int=5),
        "enums": [Color.RED, Number.ONE, Shade.DARK],
        "dataclass": Point(1, {3}),
        "model": Model(),
        "date": dt.date(2020, 1, 2),
        "time": dt.time(1, 2, 3),
        "datetimes": [dt.datetime(2020, 1, 2), dt.datetime(2020, 1, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))],  # noqa: DTZ001
        "zones": [dt.UTC, dt.timezone(dt.timedelta(hours=2)), zoneinfo.ZoneInfo("Europe/Berlin")],
        "numbers": [math.nan, math.inf, -math.inf, -0.0, 1.5],
        "nul": "a\0b",
        "document": Document("c"),
        "message": AIMessage("a\0b", id="m"),
        "keys": {1: "a", None: "b", 1.5: "c", "k\0": "d", uuid.UUID(int=5): 1, dt.date(2020, 1, 2): 2, Color.RED: 3},
    }


async def write(state: State) -> State:
    get_stream_writer()({"all": values()})
    return {
        "all": values(),
        "nan": math.nan,
        "infinity": -math.inf,
        "nul": "a\0b",
        "surrogate": "half an emoji \ud83d",
        "decimal": decimal.Decimal("1.50"),
        "enum": Color.RED,
        "shade": Shade.DARK,
        "model": Model(),
        "point": Point(1, [Old()][:0]),
    }


async def unknown(state: State) -> State:
    """What only pickle can keep is told, and not kept."""
    told = [1j, range(3), fractions.Fraction(1, 3), object(), int, len, pathlib.PurePosixPath("a"), Old()]
    errors = [ValueError("bad"), KeyError("k"), Odd("bad"), OSError(2, "no")]
    get_stream_writer()({"told": told, "errors": errors})
    return {}


async def remember(state: State) -> State:
    await get_store().aput(("values",), "all\0", values())
    return {}


async def ask(state: State) -> State:
    return {"answer": interrupt(values())}


graph = (
    StateGraph(State)
    .add_node(write)
    .add_node(unknown)
    .add_node(remember)
    .add_node(ask)
    .add_edge(START, "write")
    .add_edge("write", "unknown")
    .add_edge("unknown", "remember")
    .add_edge("remember", "ask")
    .add_edge("ask", END)
    .compile()
)
