"""What the demo prints, and how."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from examples.steps.checks import Check, Effect, Told


class Story:
    """Tells a person what happens, each line with the seconds since the beginning."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def title(self, text: str) -> None:
        self._console.rule(f"[bold]{text}", align="left", style="dim")

    def line(self, text: str, style: str = "") -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:6.2f} s[/]  {text}", style=style, highlight=False)

    def wrong(self, text: str) -> None:
        self._console.print(f"[bold red]The demo failed:[/] {text}", highlight=False)

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def effects(self, effects: Sequence[Effect], killed_pid: int | None) -> None:
        """The log of side effects, a row for each step, those that were done again set off."""
        self.title("the log of side effects")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("step", "lines", "by process", "key"):
            table.add_column(column, justify="right" if column == "lines" else "left")
        lines = Counter(effect.step for effect in effects)
        for step, count in lines.items():
            of_step = [effect for effect in effects if effect.step == step]
            pids = " → ".join(_process(effect.pid, killed_pid) for effect in of_step)
            style = "yellow" if count > 1 else ""
            table.add_row(step, str(count), pids, of_step[0].key[:28] + "…", style=style)
        self._console.print(table)

    def verdict(self, found: Sequence[Check], before: Told) -> None:
        """Every check with its mark, and the two times that matter."""
        self.title("checked")
        for holds, claim in found:
            mark = "[green]✓[/]" if holds else "[bold red]✗ not so:[/]"
            self._console.print(f" {mark} {claim}", highlight=False)
        self.title("times")
        for name, then in (("next event", before.next_event_at), ("next finished step", before.next_step_at)):
            took = before.seconds_after_kill(then)
            self._console.print(f" kill -9 → {name:<19} [bold]{took * 1000:7.0f} ms[/]", highlight=False)


def _process(pid: int, killed_pid: int | None) -> str:
    return f"{pid} (killed)" if pid == killed_pid else str(pid)
