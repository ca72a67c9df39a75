"""Values of a graph as JSON, in the forms that clients of the LangGraph Agent Server expect.

That one has two: what it tells of values in its memory (streams, waits, the store), and what it reads from a checkpoint
(state and history), where some values are told in the parts that the checkpoint keeps.
"""

import base64
import dataclasses
import re
from collections import deque
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from langgraph.errors import EmptyInputError, GraphBubbleUp, InvalidUpdateError, TaskNotFound
from langgraph.types import Interrupt, Send
from starlette.exceptions import HTTPException

from relayrun_core import storable

_Forms = Sequence[tuple[type | tuple[type, ...], Callable[[Any], Any]]]

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS
#: Of what `dumps_kept` has orjson write by itself.
KEPT_OPTIONS = _OPTIONS | orjson.OPT_PASSTHROUGH_DATETIME
# What others say may hold a secret of the machine that they were raised on.
_TOLD_ERRORS = (
    *(ValueError, TypeError, KeyError, AttributeError, RuntimeError, TimeoutError, HTTPException),
    *(InvalidUpdateError, GraphBubbleUp, EmptyInputError, TaskNotFound),
)


def dumps(value: Any) -> bytes:
    """JSON of anything a graph may hold, as streams and waits tell it: valid, and stored by Postgres.

    What has no JSON form becomes null: an event must never end a run. Raises NotStorable for what is nested too deep,
    and whatever an author's model raises of itself.
    """
    return storable.dumps(value, _told, _OPTIONS)


def dumps_kept(value: Any) -> bytes:
    """The same as state and history tell it."""
    return storable.dumps(value, _kept, KEPT_OPTIONS)


def dumps_both(value: Any) -> tuple[bytes, bytes]:
    """What `dumps` and `dumps_kept` make of it. A value that these tell alike, as most are, is written once."""
    differs = False

    def note(part: Any) -> Any:
        nonlocal differs
        differs = differs or (isinstance(part, _TOLD_OTHERWISE) and not isinstance(part, datetime))
        return _kept(part)

    kept = storable.dumps(value, note, KEPT_OPTIONS)
    return (dumps(value) if differs else kept), kept


def _told(value: Any) -> Any:
    return _formed(value, _TOLD)


def _kept(value: Any) -> Any:
    return _formed(value, _KEPT)


def _formed(value: Any, forms: _Forms) -> Any:
    for kind, form in forms:
        if isinstance(value, kind):
            return form(value)
    return None if isinstance(value, type) else _by_protocol(value)


def _by_protocol(value: Any) -> Any:
    for protocol in ("model_dump", "dict", "_asdict"):
        if callable(method := getattr(value, protocol, None)):
            return method()
    if type(value).__module__ == "numpy":  # what orjson does not take: scalars of times, arrays in another order
        return value.tolist()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return list(value) if isinstance(value, tuple) else None


def _question(value: Interrupt) -> dict[str, Any]:
    asked = getattr(value, "response_schema", None)  # LangGraph's first 1.2 versions have none
    return {"value": value.value, "id": value.id, "response_schema": asked}


def _error(value: BaseException) -> dict[str, str]:
    known = isinstance(value, _TOLD_ERRORS)
    return {"error": type(value).__name__, "message": str(value) if known else "An internal error occurred"}


def _number(value: Decimal) -> int | float:
    exponent = value.as_tuple().exponent
    return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)


def _parts(value: time) -> dict[str, Any]:
    return {name: getattr(value, name) for name in ("hour", "minute", "second", "microsecond", "tzinfo", "fold")}


_COMMON: _Forms = (
    (Interrupt, _question),
    (Send, lambda value: {"node": value.node, "args": value.arg}),
    ((set, frozenset, deque), list),
    ((bytes, bytearray), lambda value: base64.b64encode(value).decode()),
    ((IPv4Address, IPv6Address, IPv4Network, IPv6Network), str),
    (Enum, lambda value: value.value),
)
_TOLD: _Forms = (
    (BaseException, _error),
    (timedelta, timedelta.total_seconds),
    (Decimal, _number),
    ((timezone, ZoneInfo), lambda value: value.tzname(None)),
    (Path, str),
    (re.Pattern, lambda value: value.pattern),
    *_COMMON,
)
_KEPT: _Forms = (
    (BaseException, repr),
    (datetime, datetime.isoformat),  # which is a date too
    (date, lambda value: [value.year, value.month, value.day]),
    (time, _parts),
    (timedelta, lambda value: [value.days, value.seconds, value.microseconds]),
    (timezone, lambda value: [value.utcoffset(None)]),
    (ZoneInfo, lambda value: value.key),
    (Decimal, str),
    (Path, lambda value: list(value.parts)),
    (re.Pattern, lambda value: [value.pattern, value.flags]),
    (memoryview, bytes),
    *_COMMON,
)
# What is told in another form than it is kept in. A datetime, which is a date too, is not.
_TOLD_OTHERWISE = (BaseException, date, time, timedelta, timezone, ZoneInfo, Decimal, Path, re.Pattern, memoryview)
