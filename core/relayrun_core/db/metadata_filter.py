"""Filters on metadata, as authors' handlers return them, with the same meaning in Python and in SQL.

`{"owner": "alice"}` and `{"owner": {"$eq": "alice"}}` mean equality, `{"members": {"$contains": "alice"}}` (or a list
of such) means to be in a list; several mean all of them; `$or` and `$and` take a list of at least two filters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_DEEPEST = 2
_MOST_CONDITIONS = 100
# Postgres holds each element of a list against each element of the stored one.
_MOST_ELEMENTS = 100
_MOST_PARTS = 1000
_MOST_BYTES = 64 * 1024
_GROUPS = ("$or", "$and")


class InvalidFilter(ValueError):
    """A handler returned something that is not a filter."""


@dataclass(frozen=True)
class MetadataFilter:
    """A filter that was checked. Made by `parse_filter`."""

    conditions: Mapping[str, Any]

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether a row with this metadata is visible."""
        return _matches(self.conditions, metadata)

    def sql(self, column: str, name: str = "visible") -> tuple[str, dict[str, Any]]:
        """The same as a condition on a jsonb column, and its parameters, whose names begin with `name`."""
        params: dict[str, Any] = {}
        return _sql(self.conditions, column, name, params), params


def parse_filter(given: Mapping[str, Any]) -> MetadataFilter | None:
    """Check a filter; None when it hides nothing. Raises InvalidFilter."""
    if _checked(given, 0) > _MOST_CONDITIONS:
        raise InvalidFilter(f"a filter has at most {_MOST_CONDITIONS} conditions, elements of $contains among them")
    return MetadataFilter(given) if given else None


def check_contained(wanted: Mapping[str, Any]) -> None:
    """Raise InvalidFilter for what no row may be asked whether it contains it: the work grows with the square."""
    if len(orjson.dumps(wanted)) > _MOST_BYTES:
        raise InvalidFilter(f"must be at most {_MOST_BYTES} bytes of JSON, to be searched for")
    parts = elements = 0
    left: list[Any] = [wanted]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            left += value.values()
            parts += len(value)
        elif isinstance(value, list):
            left += value
            parts += len(value)
            elements += len(value)
    if elements > _MOST_ELEMENTS:
        raise InvalidFilter(f"must have at most {_MOST_ELEMENTS} elements in its lists, to be searched for")
    if parts > _MOST_PARTS:
        raise InvalidFilter(f"must have at most {_MOST_PARTS} values, to be searched for")


def _checked(given: Any, depth: int) -> int:
    if not isinstance(given, Mapping):
        raise InvalidFilter(f"a filter is a dict, and not a {type(given).__name__}")
    if depth > _DEEPEST:
        raise InvalidFilter(f"$or and $and are at most {_DEEPEST} deep")
    count = 0
    for key, value in given.items():
        if key in _GROUPS:
            if not isinstance(value, list) or len(value) < 2:
                raise InvalidFilter(f"{key} takes a list of at least two filters")
            count += sum(_checked(group, depth + 1) for group in value)
        elif key.startswith("$"):
            raise InvalidFilter(f"there is no {key} for filters: use $or, $and, or {{field: {{$eq or $contains: …}}}}")
        else:
            count += _checked_condition(key, value)
    return count


def _checked_condition(key: str, value: Any) -> int:
    """How many conditions it is: each element of `$contains` is one."""
    if not isinstance(value, Mapping):
        return 1
    if len(value) != 1 or next(iter(value)) not in ("$eq", "$contains"):
        raise InvalidFilter(f"{key} takes a value, {{$eq: value}} or {{$contains: value or list}}")
    wanted = _wanted(value.get("$contains"))
    # jsonb's containment compares objects by their parts: what is an equality here would not be one there.
    if any(isinstance(element, (list, Mapping)) for element in wanted):
        raise InvalidFilter(f"{key}: $contains takes texts, numbers and booleans")
    return max(1, len(wanted))


def _wanted(contains: Any) -> list[Any]:
    return contains if isinstance(contains, list) else [contains]


def _matches(conditions: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    for key, value in conditions.items():
        if key == "$or":
            if not any(_matches(group, metadata) for group in value):
                return False
        elif key == "$and":
            if not all(_matches(group, metadata) for group in value):
                return False
        elif key not in metadata or not _satisfies(metadata[key], value):
            return False
    return True


def _satisfies(found: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return _same(found, wanted)
    if "$eq" in wanted:
        return _same(found, wanted["$eq"])
    if not isinstance(found, list):
        return False
    # Each looked at once, however many are wanted: whoever wrote the row may have made it long.
    scalars = {_distinct(entry) for entry in found if not isinstance(entry, (list, Mapping))}
    return all(_distinct(element) in scalars for element in _wanted(wanted["$contains"]))


def _distinct(scalar: Any) -> tuple[bool, Any]:
    return isinstance(scalar, bool), scalar


def _same(left: Any, right: Any) -> bool:
    """JSON's equality: to Python `true` is 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return bool(left == right)


def _sql(conditions: Mapping[str, Any], column: str, name: str, params: dict[str, Any]) -> str:
    parts = []
    for key, value in conditions.items():
        if key in _GROUPS:
            word = " OR " if key == "$or" else " AND "
            parts.append("(" + word.join(_sql(group, column, name, params) for group in value) + ")")
            continue
        field = _param(params, name, key)
        if isinstance(value, Mapping) and "$contains" in value:
            wanted = _param(params, name, orjson.dumps(_wanted(value["$contains"])).decode())
            found = f"({column} -> %({field})s::text)"
            parts.append(f"(jsonb_typeof({found}) = 'array' AND {found} @> %({wanted})s::jsonb)")
        else:
            equal = value["$eq"] if isinstance(value, Mapping) else value
            wanted = _param(params, name, orjson.dumps(equal).decode())
            parts.append(f"({column} -> %({field})s::text = %({wanted})s::jsonb)")
    return "(" + (" AND ".join(parts) or "true") + ")"


def _param(params: dict[str, Any], name: str, value: Any) -> str:
    key = f"{name}_{len(params)}"
    params[key] = value
    return key
