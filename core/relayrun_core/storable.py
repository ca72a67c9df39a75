"""Makes values storable: as JSON or text that Postgres can store and every client can read.

NaN and the infinities become null. NULs, which neither `text` nor `jsonb` holds, and lone surrogates, which no UTF-8
has, become U+FFFD.
"""

import json
import math
import re
import sys
from collections.abc import Callable
from typing import Any

import orjson

from relayrun_core.errors import NotStorable

#: Of one value, as JSON and in a checkpoint. Postgres's `jsonb` ends at 256 MiB.
MAX_BYTES = 250_000_000
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SURROGATE = re.compile("[\ud800-\udfff]")
# An escaped NUL that is not itself behind an escaped backslash.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
# Readers that make a float of a larger integer fail, or find an infinity.
_LARGEST_INTEGER = int(sys.float_info.max)

Default = Callable[[Any], Any]


def storable_text(text: str) -> str:
    """Replace NULs and lone surrogates in the text."""
    if "\0" in text:
        text = text.replace("\0", _REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(_REPLACEMENT, text)
    return text


def dumps(value: Any, default: Default = str, option: int = orjson.OPT_NON_STR_KEYS) -> bytes:
    """Write JSON that is valid Unicode and that Postgres can store. Raises NotStorable.

    `default` converts values that JSON does not have; `option` is orjson's.
    """
    try:
        text = orjson.dumps(value, default=default, option=option)
    except TypeError:
        # orjson refuses lone surrogates, integers over 64 bits, keys like tuples, and more than 254 levels.
        text = _thoroughly(value, default, option)
    if len(text) > MAX_BYTES:
        raise NotStorable(f"the value is {len(text):,} bytes of JSON, more than {MAX_BYTES:,}: store less")
    if b"\\u0000" not in text:
        return text
    if b"\\\\u0000" not in text:  # as nearly always; many times as quick where NULs are many
        return text.replace(b"\\u0000", b"\\ufffd")
    return _NUL.sub(rb"\1\\ufffd", text)


def _thoroughly(value: Any, default: Default, option: int) -> bytes:
    try:
        return json.dumps(_plain(value, default, option), ensure_ascii=False, separators=(",", ":")).encode()
    except RecursionError as error:
        raise NotStorable("the value is nested too deep, or holds itself: make it flatter") from error


def _plain(value: Any, default: Default, option: int) -> Any:
    """The value in dicts, lists, texts and numbers, all the way down."""
    match value:
        case None | bool():
            return value
        case str():
            return _SURROGATE.sub(_REPLACEMENT, value)
        case int():
            return int(value) if abs(value) <= _LARGEST_INTEGER else None
        case float():
            return float(value) if math.isfinite(value) else None
        case dict():
            return {_key(key, option): _plain(entry, default, option) for key, entry in value.items()}
        case list():
            return [_plain(entry, default, option) for entry in value]
        case tuple() if type(value) is tuple:
            return [_plain(entry, default, option) for entry in value]
    return _plain(_unknown(value, default, option), default, option)


def _unknown(value: Any, default: Default, option: int) -> Any:
    """A value in words that `_plain` knows: orjson's own where it has them, as of dates."""

    def asked(_: Any) -> Any:
        raise TypeError("not one of orjson's own")

    try:
        return json.loads(orjson.dumps(value, default=asked, option=option))  # which keeps large integers
    except TypeError:
        return default(value)


def _key(key: Any, option: int) -> str:
    if isinstance(key, str):
        return _SURROGATE.sub(_REPLACEMENT, key)
    try:
        [name] = orjson.loads(orjson.dumps({key: None}, option=option))
    except TypeError:
        # A number of thousands of digits is no `str`.
        return hex(key) if isinstance(key, int) and abs(key) > _LARGEST_INTEGER else storable_text(str(key))
    return str(name)
