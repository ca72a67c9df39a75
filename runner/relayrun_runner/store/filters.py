"""Translates the filter of a store search into SQL.

LangGraph's Postgres store compares all but equality as text, so that 10 is less than 9, and finds nothing inside nested
objects. Here a filter means what it means in the in-memory store of `langgraph dev`: numbers are compared as numbers.
"""

from typing import Any

import orjson

from relayrun_core.db.agents import OWNER_LABELS
from relayrun_core.storable import storable_text
from relayrun_runner.graphs.serialize import dumps

#: The key of a filter whose value is a label that the item's namespace must have in an owner's place.
LABEL = "$label"

Condition = tuple[str, list[Any]]

_EQUALITY = {"$eq": "=", "$ne": "<>"}
_ORDER = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


def condition_of(key: str, wanted: Any) -> Condition:
    """The condition that one entry of a filter puts, and its parameters. Raises ValueError for an unknown operator."""
    if key == LABEL:
        return f"%s = ANY ((string_to_array(store.prefix, '.'))[:{OWNER_LABELS}])", [wanted]
    # Also what a node asks for, in the words that values are stored in.
    return _matches([storable_text(key)], orjson.loads(dumps(wanted)))


def _matches(path: list[str], wanted: Any) -> Condition:
    if not isinstance(wanted, dict):
        return _compared(path, "$eq", wanted)
    if any(key.startswith("$") for key in wanted):
        return _all([_compared(path, operator, value) for operator, value in wanted.items()])
    field = _field(path)
    is_object: Condition = (f"jsonb_typeof({field}) = 'object'", path)
    return _all([is_object, *(_matches([*path, key], value) for key, value in wanted.items())])


def _compared(path: list[str], operator: str, wanted: Any) -> Condition:
    field, value = _field(path), dumps(wanted).decode()
    if operator in _EQUALITY:
        # A field that is missing is null, as in Python.
        return f"coalesce({field}, 'null') {_EQUALITY[operator]} %s::jsonb", [*path, value]
    if operator in _ORDER:
        same_type = f"jsonb_typeof({field}) = jsonb_typeof(%s::jsonb)"
        return f"({same_type} AND {field} {_ORDER[operator]} %s::jsonb)", [*path, value, *path, value]
    raise ValueError(f"Unsupported operator: {operator}")


def _field(path: list[str]) -> str:
    return "store.value" + "->%s::text" * len(path)


def _all(conditions: list[Condition]) -> Condition:
    texts = " AND ".join(text for text, _ in conditions)
    return f"({texts})", [parameter for _, parameters in conditions for parameter in parameters]
