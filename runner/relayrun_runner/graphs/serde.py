"""Serializes values in checkpoints: in LangGraph's own form, also those that LangGraph pickles or refuses.

Nothing is ever unpickled that a client could have sent. What a value becomes is a call of a constructor, in the form
that LangGraph has for those: it reads such a checkpoint too, and `checkpointer.serde` of `langgraph.json` says which of
the author's types may be called.
"""

import re
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Literal, cast

import ormsgpack
from langgraph.checkpoint.base import Checkpoint
from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_POS_ARGS, EXT_CONSTRUCTOR_SINGLE_ARG, JsonPlusSerializer

from relayrun_core import storable
from relayrun_core.errors import NotStorable
from relayrun_runner.config.model import SerdeConfig
from relayrun_runner.langgraph_internals import (
    MSGPACK_OPTIONS,
    STRICT_MSGPACK_ENABLED,
    default_encoder,
    do_not_warn_of,
)

# Of a float that `jsonb` gives back as a float.
_PLAIN_NUMBER = re.compile(r"-?\d*[1-9]\d*\.\d+|-?0\.\d*[1-9]\d*|0\.0")
_INTEGERS = range(-(1 << 63), 1 << 64)
_NUMPY = (*(f"int{n}" for n in (8, 16, 32, 64)), *(f"uint{n}" for n in (8, 16, 32, 64)), *("float16", "float32"))
_NUMPY += ("float64", "longdouble", "complex64", "complex128", "bool", "bool_", "datetime64", "timedelta64", "array")
#: What checkpoints may call beside LangGraph's own and the author's: none of it does anything but hold a value.
_CALLED = (
    *(("builtins", name) for name in ("complex", "dict", "int", "range", "str")),
    ("fractions", "Fraction"),
    *(("numpy", name) for name in _NUMPY),
)
do_not_warn_of(_CALLED)

Encode = Callable[[Any], bytes]


class Apart:
    """A channel's value that is kept as this serializer has it, where LangGraph's saver would put it into JSON."""

    def __init__(self, value: Any) -> None:
        self.value = value


def with_values_apart(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint for LangGraph's saver, which puts what is a text, a number or a truth into `jsonb`.

    Not all of those come back from there: NaN, NULs and lone surrogates are refused, 1e22 becomes an integer, -0.0
    loses its sign, and whatever is a subclass, as numpy's float64 or an enum of texts, loses its class.
    """
    values = checkpoint["channel_values"]
    apart = {channel: Apart(value) for channel, value in values.items() if not _keeps_in_json(value)}
    return cast("Checkpoint", {**checkpoint, "channel_values": {**values, **apart}}) if apart else checkpoint


class Serializer(JsonPlusSerializer):
    """LangGraph's serializer, for more values."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The value's type and bytes. Raises NotStorable."""
        if isinstance(obj, Apart):
            obj = obj.value
        if obj is None or isinstance(obj, (bytes, bytearray)):
            return super().dumps_typed(_bounded(obj))
        try:
            return "msgpack", _bounded(_encoded(obj))
        except (TypeError, RecursionError) as error:
            if self.pickle_fallback:
                return super().dumps_typed(obj)
            raise NotStorable(
                f"a checkpoint cannot hold this {type(obj).__name__}: {_reason(error)}. Keep plain values in the"
                " state, and create what you need from them in the node"
            ) from error


def make_serializer(config: SerdeConfig | None) -> Serializer:
    """The serializer that all savers use."""
    if config is None:
        return Serializer(allowed_msgpack_modules=_CALLED if STRICT_MSGPACK_ENABLED else True)
    return Serializer(
        pickle_fallback=config.pickle_fallback,
        allowed_json_modules=_allowed(config.allowed_json_modules),
        allowed_msgpack_modules=_with_ours(_allowed(config.allowed_msgpack_modules)),
    )


def _allowed(modules: Sequence[Sequence[str]] | bool | None) -> list[tuple[str, ...]] | Literal[True] | None:
    if modules is True:
        return True
    return [tuple(entry) for entry in modules] if modules else None


def _with_ours(allowed: list[tuple[str, ...]] | Literal[True] | None) -> list[tuple[str, ...]] | Literal[True]:
    return True if allowed is True else [*(allowed or ()), *_CALLED]


def _encoded(value: Any) -> bytes:
    try:
        return _encode(value)
    except TypeError:  # ormsgpack's own errors are TypeErrors too
        return _encode_thoroughly(value)


def _bounded(data: Any) -> Any:
    if data is not None and len(data) > storable.MAX_BYTES:
        raise NotStorable(
            f"a value is {len(data):,} bytes in a checkpoint, more than {storable.MAX_BYTES:,}: keep less"
        )
    return data


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError) or "ecursion" in str(error):
        return "it is nested too deep, or holds itself"
    while error.__cause__ is not None:  # ormsgpack names what is outermost
        error = error.__cause__
    return str(error)


def _encoder(prepare: Callable[[Any], Any]) -> Encode:
    def encode(value: Any) -> bytes:
        return ormsgpack.packb(prepare(value), default=default, option=MSGPACK_OPTIONS)

    def default(value: Any) -> Any:
        call = _call(value)
        if call is not None:
            return _constructed(call, encode)
        converted = langgraphs(value)
        return prepare(converted) if isinstance(converted, str) else converted  # what an exception says of itself

    # LangGraph's own, which encodes what is inside of a model or a dataclass as we do.
    langgraphs = default_encoder(encode)
    return encode


def _constructed(call: tuple[str, str, tuple[Any, ...]], encode: Encode) -> ormsgpack.Ext:
    return ormsgpack.Ext(EXT_CONSTRUCTOR_POS_ARGS, encode(call))


def _call(value: Any) -> tuple[str, str, tuple[Any, ...]] | None:
    """The module, the name and the arguments of the call that makes the value; None: LangGraph knows a way."""
    match value:
        case complex():
            return "builtins", "complex", (value.real, value.imag)
        case Fraction():
            return "fractions", "Fraction", (value.numerator, value.denominator)
        case range():
            return "builtins", "range", (value.start, value.stop, value.step)
    # Another thread may be importing numpy: it has no types then, and nobody has its values.
    numpy = sys.modules.get("numpy")
    if isinstance(value, getattr(numpy, "generic", ())):
        return "numpy", type(value).__name__, _scalar_arguments(numpy, value)
    if isinstance(value, getattr(numpy, "ndarray", ())):
        return _array_call(value)
    return None


def _scalar_arguments(numpy: Any, value: Any) -> tuple[Any, ...]:
    name = type(value).__name__
    if isinstance(value, (numpy.datetime64, numpy.timedelta64)):
        unit, count = numpy.datetime_data(value.dtype)
        return (int(value.astype("int64")), f"{count}{unit}") if unit != "generic" else (str(value),)
    if name not in _NUMPY:
        raise TypeError(f"Type is not msgpack serializable: numpy.{name}")
    return (str(value),) if name == "longdouble" else (value.item(),)


def _array_call(value: Any) -> tuple[str, str, tuple[Any, ...]] | None:
    if value.dtype.hasobject or value.dtype.names is not None:
        raise TypeError(f"Type is not msgpack serializable: numpy.ndarray of {value.dtype}")
    if value.dtype.kind in "mM":  # of times, which are no buffer
        return "numpy", "array", (value.astype("int64"), value.dtype.str)
    return None


def _keeps_in_json(value: Any) -> bool:
    kind = type(value)
    if kind is float:
        return _PLAIN_NUMBER.fullmatch(repr(value)) is not None
    if kind is str:
        return "\0" not in value and _is_unicode(value)
    if kind is int:
        return value in _INTEGERS
    return kind is bool or not isinstance(value, (str, int, float))


def _prepared(value: Any) -> Any:
    """The value with what ormsgpack refuses of plain types as calls that make it."""
    match value:
        case bool():
            return value
        case int() if value not in _INTEGERS:
            return _constructed(("builtins", "int", (hex(value), 16)), _encode)
        case str():
            return value if _is_unicode(value) else _text(value)
        case dict():
            entries = [(_prepared(key), _prepared(entry)) for key, entry in value.items()]
            if any(isinstance(key, ormsgpack.Ext) for key, _ in entries):  # which a key can not be
                return ormsgpack.Ext(EXT_CONSTRUCTOR_SINGLE_ARG, _encode(("builtins", "dict", entries)))
            return dict(entries)
        case list() | tuple() if type(value) in (list, tuple):
            return [_prepared(entry) for entry in value]
    return value


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(text: str) -> ormsgpack.Ext:
    parts = (text.encode("utf-8", "surrogatepass"), "utf-8", "surrogatepass")
    return _constructed(("builtins", "str", parts), _encode)


_encode = _encoder(lambda value: value)
_encode_thoroughly = _encoder(_prepared)
