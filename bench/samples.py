"""What is measured and how it is summed up. Pure: no clock, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunSample:
    """One run, in ms since the call that created it: first event of any kind, first of the graph, end."""

    first_event_ms: float
    first_graph_event_ms: float
    end_ms: float


@dataclass(frozen=True)
class KillSample:
    """One kill -9 of a runner, in ms since the kill: first event of the next attempt, first finished step."""

    next_event_ms: float
    next_step_ms: float
    repeated_steps: int
    missing_steps: int
    attempts: int


@dataclass(frozen=True)
class ReplacementSample:
    """One kill -9 of an idle runner, in ms: until its replacement was ready, and that one's CPU time by then."""

    ready_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class TokenSample:
    """One streamed answer, in ms since the call that asked for it: its first token, its end."""

    first_token_ms: float
    end_ms: float


@dataclass
class Throughput:
    """Runs that ended while so many clients asked for one after the other."""

    clients: int
    runs: int = 0
    seconds: float = 0.0
    samples: list[RunSample] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def runs_per_second(self) -> float:
        return self.runs / self.seconds if self.seconds else 0.0

    def add(self, other: Throughput) -> None:
        """Takes in another round of the same number of clients."""
        self.runs += other.runs
        self.seconds += other.seconds
        self.samples += other.samples
        self.errors += other.errors


@dataclass
class Results:
    """All that was measured of one server."""

    server: str
    version: str
    by_clients: dict[int, Throughput] = field(default_factory=dict)
    tokens: list[TokenSample] = field(default_factory=list)
    kills: list[KillSample] = field(default_factory=list)
    replacements: list[ReplacementSample] = field(default_factory=list)
    second_starts_ms: list[float] = field(default_factory=list)
    cpu_ms_per_run: dict[int, dict[str, float]] = field(default_factory=dict)
    idle_mb: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Summaries and every sample, ready for a JSON file."""
        return asdict(self) | {"summary": {str(n): summary(t) for n, t in self.by_clients.items()}}


def percentile(values: Iterable[float], percent: float) -> float:
    """The given percentile, interpolated between neighbours; NaN when there are no values."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def p50(values: Iterable[float]) -> float:
    return percentile(values, 50)


def p99(values: Iterable[float]) -> float:
    return percentile(values, 99)


def summary(throughput: Throughput) -> dict[str, float]:
    """Percentiles (ms) and rate (runs/s) of one number of clients."""
    told: dict[str, float] = {"runs": throughput.runs, "runs_per_second": throughput.runs_per_second()}
    for name in ("first_event_ms", "first_graph_event_ms", "end_ms"):
        values = column(throughput.samples, name)
        told[f"{name}_p50"], told[f"{name}_p99"] = p50(values), p99(values)
    return told


def column(
    samples: Sequence[RunSample] | Sequence[KillSample] | Sequence[ReplacementSample] | Sequence[TokenSample], name: str
) -> list[float]:
    """One field of all samples."""
    return [getattr(sample, name) for sample in samples]
