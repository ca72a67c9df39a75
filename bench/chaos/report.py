"""What the chaos came to: for the terminal, and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.chaos.verdict import Verdict
from bench.samples import p50, p99

_FAULTS_SHOWN = 20


@dataclass(frozen=True)
class Outcome:
    """All that is told of one chaos. `cpu` is in seconds by part, of those who were killed too."""

    asked: int
    seconds: float
    in_time: bool
    kills: Mapping[str, int]
    nobody: Mapping[str, int]
    verdict: Verdict
    faults: Mapping[str, int]
    refusals: Mapping[str, int]
    cpu: Mapping[str, float]

    @property
    def well(self) -> bool:
        """Whether every run succeeded, and nothing was lost or repeated."""
        return self.in_time and self.verdict.succeeded == self.asked and not (self.verdict.faults or self.faults)

    def as_json(self) -> dict[str, Any]:
        """Ready for a JSON file; gaps in seconds."""
        verdict = self.verdict
        return {
            "well": self.well,
            "runs": self.asked,
            "succeeded": verdict.succeeded,
            "seconds": round(self.seconds, 2),
            "steps": verdict.steps,
            "steps_begun_again": verdict.begun_again,
            "faults": [*verdict.faults, *(f"{times} times: {fault}" for fault, times in self.faults.items())],
            "refusals": dict(self.refusals),
            "kills": {
                victim: {"kills": count, "runs_hit": len(found := sorted(verdict.gaps.get(victim, ())))}
                | ({"gap_p50": p50(found), "gap_p99": p99(found), "gap_max": found[-1], "gaps": found} if found else {})
                for victim, count in sorted(self.kills.items())
            },
            "cpu_seconds": {part: round(seconds, 2) for part, seconds in sorted(self.cpu.items())},
        }


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Two tables, and what went wrong."""
    verdict = outcome.verdict
    table = Table(box=box.SIMPLE_HEAD, title="kill → next event of a run that was hit, in s", title_style="bold")
    for column in ("victim", "kills", "runs hit", "p50", "p99", "longest"):
        table.add_column(column, justify="left" if column == "victim" else "right")
    for victim, count in sorted(outcome.kills.items()):
        found = verdict.gaps.get(victim, [])
        times = [_seconds(value) for value in (p50(found), p99(found), max(found, default=math.nan))]
        table.add_row(victim, str(count), str(len(found)), *times)
    console.print(table)
    facts = Table(box=box.SIMPLE_HEAD, show_header=False)
    facts.add_row("runs that succeeded", f"{verdict.succeeded} of {outcome.asked}, in {outcome.seconds:.1f} s")
    facts.add_row("steps that finished", str(verdict.steps))
    facts.add_row("steps that were cut off, and begun again", str(verdict.begun_again))
    facts.add_row("lost or repeated, wrong answers", str(len(verdict.faults) + Counter(outcome.faults).total()))
    facts.add_row("answers that clients had to ask for again", _counts(outcome.refusals))
    if outcome.cpu:
        facts.add_row("CPU, in s", _counts({part: round(seconds, 1) for part, seconds in outcome.cpu.items()}))
    if outcome.nobody:
        facts.add_row("kills that found nobody", _counts(outcome.nobody))
    console.print(facts)
    told = [*verdict.faults, *(f"{times} times: {fault}" for fault, times in outcome.faults.items())]
    for fault in told[:_FAULTS_SHOWN]:
        console.print(f"[bold red]![/] {fault}", highlight=False)
    if len(told) > _FAULTS_SHOWN:
        console.print(f"… and {len(told) - _FAULTS_SHOWN} more")
    console.print("[bold green]all well[/]" if outcome.well else "[bold red]not well[/]")


def _seconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "none"
