"""Two recordings of one scenario, compared: statuses, headers, event names and their order, keys, types and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.compat.recording import Exchange

Kind = Literal["more", "missing", "other"]


@dataclass(frozen=True)
class Difference:
    """`where` is the request and the place in its answer. `more`: only we have it; `missing`: only they do."""

    where: str
    kind: Kind
    ours: Any = None
    theirs: Any = None

    def __str__(self) -> str:
        shown = {"more": f"only ours: {self.ours!r}", "missing": f"only theirs: {self.theirs!r}"}
        return f"{self.where}: {shown.get(self.kind, f'ours {self.ours!r}, theirs {self.theirs!r}')}"


def differences(ours: Sequence[Exchange], theirs: Sequence[Exchange]) -> Iterator[Difference]:
    """Everything in which the answers differ. Places in lists are written `[]`, so that equal ones are one."""
    assert [each.label for each in ours] == [each.label for each in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        if mine.status != other.status:
            yield Difference(f"{mine.label} status", "other", mine.status, other.status)
            continue
        yield from _compare(f"{mine.label} header", mine.headers, other.headers)
        yield from _compare(mine.label, mine.body, other.body)


def _compare(where: str, ours: Any, theirs: Any) -> Iterator[Difference]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in {**theirs, **ours}:
            place = f"{where} .{key}" if " ." not in where else f"{where}.{key}"
            if key not in theirs:
                yield Difference(place, "more", ours[key])
            elif key not in ours:
                yield Difference(place, "missing", theirs=theirs[key])
            else:
                yield from _compare(place, ours[key], theirs[key])
    elif isinstance(ours, list) and isinstance(theirs, list):
        yield from _compare_lists(where, ours, theirs)
    elif type(ours) is not type(theirs) or ours != theirs:
        yield Difference(where, "other", ours, theirs)


def _compare_lists(where: str, ours: list[Any], theirs: list[Any]) -> Iterator[Difference]:
    if _names(ours) != _names(theirs):
        yield Difference(f"{where} events", "other", _names(ours), _names(theirs))
        return
    if len(ours) != len(theirs):
        yield Difference(f"{where} length", "other", len(ours), len(theirs))
    for mine, other in zip(ours, theirs, strict=False):
        if _is_event(mine):
            yield from _compare(f"{where} [{mine['event']}]", mine["data"], other["data"])
        else:
            yield from _compare(f"{where}[]", mine, other)


def _is_event(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.keys() == {"event", "data"}


def _names(entries: list[Any]) -> list[str] | None:
    """Of a stream: its events' names."""
    if not all(map(_is_event, entries)):
        return None
    return [entry["event"] for entry in entries]
