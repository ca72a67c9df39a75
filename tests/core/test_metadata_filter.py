"""Filters on metadata: what they mean for a row and in SQL is the same."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from relayrun_core.database import Database
from relayrun_core.db.metadata_filter import InvalidFilter, parse_filter

ROWS: tuple[dict[str, Any], ...] = (
    {},
    {"owner": "alice"},
    {"owner": "alice", "members": ["bob", "carol"]},
    {"owner": "bob", "members": "bob"},
    {"owner": ["alice"]},
    {"owner": None, "members": [1, True]},
    {"owner": 1},
    {"owner": True},
    {"owner": {"a": 1, "b": [2]}},
    {"$eq": "alice"},
    {"members": [["bob"]]},
    {"o'w\"ner": "x%s{}"},
)
FILTERS: tuple[dict[str, Any], ...] = (
    {"owner": "alice"},
    {"owner": {"$eq": "alice"}},
    {"owner": None},
    {"owner": 1},
    {"owner": True},
    {"owner": {"$eq": {"b": [2], "a": 1}}},
    {"owner": ["alice"]},
    {"members": {"$contains": "bob"}},
    {"members": {"$contains": ["carol", "bob"]}},
    {"members": {"$contains": ["carol", "dave"]}},
    {"members": {"$contains": []}},
    {"members": {"$contains": 1}},
    {"members": {"$contains": True}},
    {"owner": "alice", "members": {"$contains": "bob"}},
    {"$or": [{"owner": "bob"}, {"members": {"$contains": "bob"}}]},
    {"$and": [{"owner": "alice"}, {"members": {"$contains": "carol"}}]},
    {"$or": [{"$and": [{"owner": "alice"}, {"members": {"$contains": "carol"}}]}, {"owner": "bob"}]},
    {"$or": [{"owner": "alice"}, {"owner": "bob"}], "members": {"$contains": "carol"}},
    {"$or": [{}, {"owner": "nobody"}]},
    {"o'w\"ner": "x%s{}"},
)


async def test_a_filter_means_the_same_here_and_in_the_database(database: Database) -> None:
    source = "jsonb_array_elements(%(rows)s::jsonb) WITH ORDINALITY AS r (metadata, n)"
    for given in FILTERS:
        found = parse_filter(given)
        assert found is not None
        condition, params = found.sql("metadata")
        query = f"SELECT {condition} AS visible FROM {source} ORDER BY n"
        rows = await database.fetch_all(query, {**params, "rows": orjson.dumps(ROWS).decode()})
        in_sql = [bool(row["visible"]) for row in rows]
        assert in_sql == [found.matches(row) for row in ROWS], given
        assert any(in_sql) == (given != {"members": {"$contains": ["carol", "dave"]}}), given


def test_nothing_is_hidden_by_a_filter_of_nothing() -> None:
    assert parse_filter({}) is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"owner": {"$ne": "alice"}}, "takes a value"),
        ({"owner": {}}, "takes a value"),
        ({"owner": {"$eq": 1, "$contains": 2}}, "takes a value"),
        ({"members": {"$contains": [{"id": 1}]}}, "takes texts"),
        ({"$not": {"owner": "alice"}}, r"no \$not"),
        ({"$or": [{"owner": "alice"}]}, "at least two"),
        ({"$or": {"owner": "alice"}}, "at least two"),
        ({"$or": ["alice", "bob"]}, "is a dict"),
        ({"$or": [{"$or": [{"$or": [{"a": 1}, {"b": 1}]}, {"c": 1}]}, {"d": 1}]}, "2 deep"),
        ({str(number): 1 for number in range(101)}, "at most 100"),
        ({"members": {"$contains": list(range(101))}}, "at most 100"),
        ({"$or": [{"a": {"$contains": list(range(60))}}, {"b": {"$contains": list(range(60))}}]}, "at most 100"),
    ],
)
def test_what_is_no_filter_is_refused_with_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidFilter, match=sentence):
        parse_filter(given)


def test_a_long_list_of_a_row_is_gone_through_once() -> None:
    members = [*range(200_000), "bob"]
    wanted = parse_filter({"members": {"$contains": [*range(199_902, 200_000), "bob"]}})
    assert wanted is not None
    began = time.monotonic()
    assert wanted.matches({"members": members})
    # Each with each would be twenty million comparisons.
    assert time.monotonic() - began < 5
