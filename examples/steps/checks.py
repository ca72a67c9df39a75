"""What must be true after the demo: pure functions over what the stream told and what the log says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Effect:
    """One line of the log of side effects."""

    step: str
    key: str
    pid: int
    time: float


@dataclass
class Told:
    """What a stream told so far. Times are seconds of the monotonic clock."""

    ids: list[tuple[int, int]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    interrupts: int = 0
    killed_pid: int | None = None
    killed_at: float | None = None
    in_flight: frozenset[str] = frozenset()
    next_event_at: float | None = None
    next_step_at: float | None = None

    def seconds_after_kill(self, then: float | None) -> float:
        assert self.killed_at is not None
        return float("nan") if then is None else then - self.killed_at


Check = tuple[bool, str]


def checks(before: Told, after: Told, effects: Sequence[Effect], planned: Sequence[str]) -> Iterator[Check]:
    """Each claim of the demo, and whether it holds. `before` and `after` the approval; `planned`: every step."""
    told = Counter(before.steps + after.steps)
    yield before.attempts == [1, 2], f"one run, attempts {_listed(before.attempts)}: it went on, once"
    yield _without_repetition(told, planned), f"the stream told each of {len(planned)} steps exactly once"
    yield _increasing(before.ids) and _increasing(after.ids), "the ids of the events only ever grew"
    yield before.interrupts == 1 and "approve" not in before.steps, "it waited for a person's approval"
    lines = Counter(effect.step for effect in effects)
    repeated = {step for step, count in lines.items() if count > 1}
    yield set(lines) == set(planned), "every step's effect is in the log"
    yield repeated == before.in_flight, f"done again: {_listed(sorted(repeated))}, which the kill cut short"
    yield _same_keys(effects), "done again under the same key: another system could tell"


def _without_repetition(told: Counter[str], planned: Sequence[str]) -> bool:
    return set(told) == set(planned) and max(told.values()) == 1


def _increasing(ids: Sequence[tuple[int, int]]) -> bool:
    return bool(ids) and all(one < other for one, other in pairwise(ids))


def _same_keys(effects: Sequence[Effect]) -> bool:
    keys: dict[str, set[str]] = {}
    for effect in effects:
        keys.setdefault(effect.step, set()).add(effect.key)
    return all(len(of_step) == 1 for of_step in keys.values()) and len(keys) == len(
        {key for of_step in keys.values() for key in of_step}
    )


def _listed(things: Sequence[object]) -> str:
    return ", ".join(map(str, things)) or "none"
