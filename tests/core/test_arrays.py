"""Arrays as we write them are the lists that Postgres reads, whatever is in them, and of one type each."""

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from relayrun_core.database import Database
from relayrun_core.db.arrays import BIGINT, BOOLEAN, BYTEA, INTEGER, JSONB, TEXT, ArrayOf

AWKWARD_TEXTS = ["", "NULL", "null", "{}", 'a "quote" and a \\', "comma, brace } and\nline", "grüße 🦜", " "]


async def told(database: Database, array: bytes) -> dict[str, Any]:
    """The array's type to Postgres, and what it reads in it."""
    row = await database.fetch_one("SELECT pg_typeof(a)::text AS type, a AS list FROM (SELECT %s AS a) AS q", (array,))
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("array_of", "name", "items"),
    [
        (TEXT, "text[]", AWKWARD_TEXTS),
        (BYTEA, "bytea[]", [b"", b"\x00\xff\\", b"x" * 100_000]),
        (INTEGER, "integer[]", [0, -1, 2**31 - 1, -(2**31)]),
        (BIGINT, "bigint[]", [1, 2**63 - 1, -(2**63)]),
        (BOOLEAN, "boolean[]", [True, False]),
        (JSONB, "jsonb[]", [{"a": [1, None, 'q"\\']}, [], "text", 1.5, None]),
    ],
)
async def test_an_array_is_read_as_its_list_and_its_type_does_not_depend_on_what_is_in_it(
    database: Database, array_of: ArrayOf[Any], name: str, items: list[Any]
) -> None:
    given = [Jsonb(item) for item in items] if array_of is JSONB else items
    assert await told(database, array_of(given)) == {"type": name, "list": items}
    assert await told(database, array_of([*given[:1], None])) == {"type": name, "list": [*items[:1], None]}
    assert await told(database, array_of([None])) == {"type": name, "list": [None]}
    assert await told(database, array_of([])) == {"type": name, "list": []}


async def test_text_that_postgres_cannot_hold_is_refused_as_bad_data(database: Database) -> None:
    with pytest.raises(psycopg.DataError):
        await told(database, TEXT(["a\0b"]))


async def test_json_is_made_such_that_postgres_holds_it(database: Database) -> None:
    given = [Jsonb({"a\0": ["\ud83d", float("nan"), float("inf")]}), Jsonb("a\0b"), Jsonb(float("nan"))]
    told_back = (await told(database, JSONB(given)))["list"]
    assert told_back == [{"a\ufffd": ["\ufffd", None, None]}, "a\ufffdb", None]
