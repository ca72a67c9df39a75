"""Parts of a thread by their paths, such as `values.messages[-1].content`: what a search can give in their place. Pure.

The paths are those of the LangGraph Agent Server: a column, then keys behind dots and places in brackets.
"""

import re
from collections.abc import Mapping
from typing import Any

MAX_PATHS = 10
_LONGEST_PATH = 512
_COLUMNS = ("values", "metadata", "config", "interrupts")
#: Names of a thread's own members, which an extracted part can not have.
_TAKEN = frozenset((*_COLUMNS, "thread_id", "created_at", "updated_at", "state_updated_at", "status"))
_ALIAS = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PART = re.compile(r"\[(-?\d{1,9})\]|([^.\[\]]+)")


class Extract:
    """Parts by the names that a client gives them. Raises ValueError for names and paths that can not be."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = {alias: _parsed(alias, path) for alias, path in paths.items()}

    def of(self, thread: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of a thread's view; None for one that it does not have."""
        return {alias: _value_at(thread, path) for alias, path in self._paths.items()}


def _parsed(alias: str, path: str) -> list[str | int]:
    if not _ALIAS.fullmatch(alias) or alias in _TAKEN:
        raise ValueError(f"{alias!r} cannot name a part: use letters, digits and _, and not a member of a thread")
    root = re.split(r"[.\[]", path, maxsplit=1)[0]
    if root not in _COLUMNS or len(path) > _LONGEST_PATH:
        raise ValueError(f"the path of {alias!r} must begin with one of {', '.join(_COLUMNS)}")
    return [int(place) if place else key for place, key in _PART.findall(path)]


def _value_at(value: Any, path: list[str | int]) -> Any:
    for part in path:
        match value, part:
            case dict(), str():
                value = value.get(part)
            case list(), int() if -len(value) <= part < len(value):
                value = value[part]
            case _:
                return None
    return value
