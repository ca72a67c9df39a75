"""What a checkpoint brings back is what was put in: the same value of the same type, without pickle."""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Interrupt

from relayrun_core import storable
from relayrun_core.database import Database
from relayrun_core.errors import NotStorable
from relayrun_runner.config.model import SerdeConfig
from relayrun_runner.graphs.serde import make_serializer, with_values_apart


class Shade(enum.StrEnum):
    DARK = "dark"


@dataclasses.dataclass
class Box:
    inside: Any


VALUES = [
    *(1j, range(2, 9, 3), Fraction(1, 3), 1 << 70, -(1 << 200), "a\ud83d\0", math.inf, -0.0, 1e22, Shade.DARK),
    *(np.float64(1.5), np.float16(0.5), np.int64(-3), np.uint8(3), np.bool_(True), np.complex64(1 + 2j)),
    *(np.longdouble("1.25"), np.datetime64("2020-01-01"), np.datetime64("NaT"), np.timedelta64(3, "25s")),
    {"k\ud83d": 1, 1 << 70: [Fraction(1, 2)]},
    Box({"in": [Box(1j), {"\ud83d": np.float32(0.5)}]}),
    AIMessage("half an emoji \ud83d", id="m"),
]
ARRAYS = [
    *(np.array([[1, 2], [3, 4]]), np.zeros((2, 3), order="F"), np.array([1.5, np.nan]), np.array([1 + 2j])),
    *(np.array(["a", "bc"]), np.array(["2020-01-01", "NaT"], dtype="M8[D]"), np.zeros((0, 3)), np.array(5)),
]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
@pytest.mark.parametrize("reader", [make_serializer(None), JsonPlusSerializer()], ids=["ours", "LangGraph's"])
def test_a_value_comes_back_as_it_was(value: Any, reader: JsonPlusSerializer) -> None:
    kind, data = make_serializer(None).dumps_typed(value)
    back = reader.loads_typed((kind, data))
    assert (kind, type(back), ascii(back)) == ("msgpack", type(value), ascii(value))


@pytest.mark.parametrize("value", ARRAYS, ids=ascii)
def test_an_array_comes_back_as_it_was(value: Any) -> None:
    serializer = make_serializer(None)
    [back] = serializer.loads_typed(serializer.dumps_typed([value]))
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert np.array_equal(back, value, equal_nan=value.dtype.kind in "fcM")


def test_these_come_back_where_only_listed_types_may() -> None:
    serializer = make_serializer(SerdeConfig(allowed_msgpack_modules=[["no", "Such"]]))
    values = [1j, range(3), Fraction(1, 3), 1 << 70, "\ud83d", np.float64(1.5), np.array(["2020"], dtype="M8[Y]")]
    assert serializer.loads_typed(serializer.dumps_typed(values)) == values
    assert serializer.loads_typed(serializer.dumps_typed(Box(1))) == {"inside": 1}, "the author did not list it"


def test_values_are_written_while_another_thread_imports_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", ModuleType("numpy"))  # as it is there until its types are
    question = (Interrupt("go on?"),)
    assert make_serializer(None).loads_typed(make_serializer(None).dumps_typed(question)) == [*question]


@pytest.mark.parametrize(
    "value", [object(), lambda: 1, np.array([1, None]), np.zeros(1, dtype=[("a", "i4")]), {"deep": [print]}]
)
def test_what_no_checkpoint_can_hold_is_refused_with_a_sentence(value: Any) -> None:
    with pytest.raises(NotStorable, match=r"a checkpoint cannot hold this .* Keep plain values"):
        make_serializer(None).dumps_typed(value)


def test_what_is_too_deep_or_too_large_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotStorable, match="nested too deep, or holds itself"):
        make_serializer(None).dumps_typed(loop)
    monkeypatch.setattr(storable, "MAX_BYTES", 100)
    for value in ("x" * 100, b"x" * 101):
        with pytest.raises(NotStorable, match="more than 100"):
            make_serializer(None).dumps_typed(value)


def test_nothing_is_unpickled_unless_the_author_says_so() -> None:
    with pytest.raises(NotImplementedError):
        make_serializer(None).loads_typed(("pickle", b"cos\nsystem\n(S'true'\ntR."))


async def test_a_channel_whose_whole_value_is_odd_comes_back_as_it_was(database: Database) -> None:
    saver = AsyncPostgresSaver(database.pool, serde=make_serializer(None))
    values = {f"c{number}": value for number, value in enumerate([*VALUES, True, 3, "plain", 0.1, 100.0, 0.0, None])}
    checkpoint: Checkpoint = {**empty_checkpoint(), "channel_values": values}  # type: ignore[typeddict-item]
    versions: dict[str, str | int | float] = {**dict.fromkeys(values, "1")}
    checkpoint["channel_versions"] = versions
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    metadata: Any = {"source": "loop", "note": "a\0\ud83d", "score": math.nan}
    saved = await saver.aput(config, with_values_apart(checkpoint), metadata, versions)
    found = await saver.aget_tuple(saved)
    assert found is not None
    back = found.checkpoint["channel_values"]
    assert {name: (type(value), ascii(value)) for name, value in back.items()} == {
        name: (type(value), ascii(value)) for name, value in values.items()
    }
    assert found.metadata == {
        "source": "loop",
        "note": "a\N{REPLACEMENT CHARACTER}",
        "score": None,
    }
