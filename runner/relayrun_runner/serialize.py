"""Values of a graph as JSON, in the forms that clients of the LangGraph Agent Server expect."""

import base64
import dataclasses
import json
import math
import re
from collections import deque
from typing import Any

import orjson
from langgraph.types import Interrupt, Send

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS
# An escaped NUL that is not itself behind an escaped backslash.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def dumps(value: Any) -> bytes:
    """JSON of anything a graph may hold: messages, pydantic models, dataclasses, sets, bytes (as base64).

    What has no JSON form becomes its `repr`: an event must never end a run. Lone surrogates stay as escapes.
    """
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except TypeError:
        # orjson refuses lone surrogates and integers over 64 bits; the standard library writes both.
        return json.dumps(_plain(value), ensure_ascii=True, default=_default).encode()


def without_nul(text: bytes) -> bytes:
    """The JSON without escaped NULs, which `jsonb` can not hold."""
    return _NUL.sub(rb"\1", text) if b"\\u0000" in text else text


def error_body(error: BaseException) -> dict[str, str]:
    """An exception as clients see it: its type and message."""
    return {"error": type(error).__name__, "message": str(error)}


def _default(value: Any) -> Any:
    match value:
        case Interrupt():
            schema = {} if value.response_schema is None else {"response_schema": value.response_schema}
            return {"value": value.value, "id": value.id, **schema}
        case Send():
            return {"node": value.node, "arg": value.arg}
        case set() | frozenset() | deque() | tuple():
            return list(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(bytes(value)).decode()
        case BaseException():
            return error_body(value)
    return _by_protocol(value)


def _by_protocol(value: Any) -> Any:
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return value._asdict()
    if hasattr(value, "tolist"):
        return value.tolist()
    return repr(value)


def _plain(value: Any) -> Any:
    """Keys as strings and no NaN, all the way down, as the standard library needs them."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # as orjson does: JSON knows neither NaN nor infinity
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return _plain(_default(value))
