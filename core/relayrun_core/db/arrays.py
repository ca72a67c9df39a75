"""Lists as Postgres arrays of a known type, in the binary form.

psycopg looks for a list's type among its elements, and writes it as quoted text: for the two dozen lists that one write
of a checkpoint has, that takes longer than all else in it. And an empty list, or one of small numbers, is of another
type to it, so that one statement is prepared several times.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from psycopg import adapters
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.json import Jsonb, JsonbBinaryDumper

from relayrun_core import storable

T = TypeVar("T")

_NULL = b"\xff\xff\xff\xff"
_pack_length = struct.Struct("!i").pack
_pack_head = struct.Struct("!iiIii").pack  # dimensions, whether there are nulls, type, length, first index


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


class ArrayOf(Generic[T]):
    """Makes arrays of one type: `TEXT(["a", None])` is a parameter of type text[]."""

    def __init__(self, element: str, encode: Callable[[T], Buffer | None]) -> None:
        """`element`: the type's name, `encode` gives an element in the type's binary form."""
        info = adapters.types[element]
        self._oid = info.oid
        self._encode = encode
        # psycopg tells types apart by the class of a value.
        self._kind: type[bytes] = type(f"{element}_array", (bytes,), {})
        self._empty = self._kind(struct.pack("!iiI", 0, 0, info.oid))
        adapters.register_dumper(self._kind, type(f"_{element}_array_dumper", (_ArrayDumper,), {"oid": info.array_oid}))

    def __call__(self, items: Iterable[T | None]) -> bytes:
        """The items as one parameter of a statement."""
        parts = [b""]
        nulls = False
        for item in items:
            encoded = None if item is None else self._encode(item)
            if encoded is None:
                parts.append(_NULL)
                nulls = True
            else:
                parts.append(_pack_length(len(encoded)) + encoded)
        if len(parts) == 1:
            return self._empty
        parts[0] = _pack_head(1, nulls, self._oid, len(parts) - 1, 1)
        return self._kind(b"".join(parts))


TEXT: ArrayOf[str] = ArrayOf("text", str.encode)
BYTEA: ArrayOf[bytes] = ArrayOf("bytea", bytes)
INTEGER: ArrayOf[int] = ArrayOf("int4", struct.Struct("!i").pack)
BIGINT: ArrayOf[int] = ArrayOf("int8", struct.Struct("!q").pack)
BOOLEAN: ArrayOf[bool] = ArrayOf("bool", struct.Struct("!?").pack)


class _StorableJsonb(JsonbBinaryDumper):
    _dumps = staticmethod(storable.dumps)


#: Its items are psycopg's `Jsonb`.
JSONB: ArrayOf[Any] = ArrayOf("jsonb", _StorableJsonb(Jsonb).dump)
