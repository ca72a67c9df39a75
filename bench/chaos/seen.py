"""What a run of the chaos was seen to do, by its client and by the ledger; and who was killed. Times: `time.time()`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

STEPS_OF = {
    "steps": frozenset(f"step {number}" for number in range(10)),
    "fan": frozenset({"plan", "join", *(f"{name} {n}" for name in ("dig", "sift", "lift") for n in range(4))}),
}


@dataclass(frozen=True)
class Told:
    """One event that the client read; `step` if it says that one has finished."""

    at: float
    id: str
    step: str | None

    @property
    def seq(self) -> int:
        return int(self.id.partition("-")[2])

    @property
    def attempt(self) -> int:
        return self.seq >> 32


@dataclass
class RunSeen:
    """One run as its client saw it. `did`: the finished thread's steps, with the effects that counted."""

    graph: str
    thread: str
    run: str = ""
    created_at: float = 0.0
    ended_at: float | None = None
    status: str = "not created"
    told: list[Told] = field(default_factory=list)
    did: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Kill:
    """`pid` as the process itself knows it, in one of the pods `hosts`; 0: all that ran there."""

    at: float
    victim: str
    pid: int
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Effect:
    """One execution of a step, by a process that is told apart by `process`, `pid` on `host`."""

    run: str
    step: str
    effect: str
    process: str
    pid: int
    host: str
    began: float
    ended: float | None


def read_ledger(folder: Path) -> list[Effect]:
    """All executions, in the order of their beginnings. A line that its process did not live to finish is none."""
    found: dict[str, Effect] = {}
    for file in folder.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            known = found.get(entry["effect"])
            began = known.began if known else entry["at"]
            ended = entry["at"] if entry["what"] == "end" else None
            keys = ("run", "step", "effect", "process", "pid", "host")
            found[entry["effect"]] = Effect(**{key: entry[key] for key in keys}, began=began, ended=ended)
    return sorted(found.values(), key=lambda effect: effect.began)


def by_run(effects: Iterable[Effect]) -> dict[str, list[Effect]]:
    """The effects of each run, in order."""
    found: dict[str, list[Effect]] = {}
    for effect in effects:
        found.setdefault(effect.run, []).append(effect)
    return found
