"""What `make release-check` tells: each step, what it skipped and why, and sizes against their budget."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from release.version import ROOT, ReleaseError

BUDGET = Path(__file__).with_name("budget.json")


class Report:
    """Tells steps as they happen, and remembers what a person has to know at the end."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.sizes: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step, with the time that it took."""
        began = time.monotonic()
        print(f"== {name}", flush=True)
        yield
        print(f"   done in {time.monotonic() - began:.0f} s", flush=True)

    def skip(self, what: str, why: str) -> None:
        self.skipped.append(f"{what}: {why}")
        print(f"   SKIPPED {what}: {why}", flush=True)

    def size(self, name: str, megabytes: float) -> None:
        self.sizes[name] = megabytes
        print(f"   {name}: {megabytes:.1f} MB", flush=True)

    def end(self) -> None:
        """Print what was skipped. Raises ReleaseError for each size above its budget."""
        print("== skipped" if self.skipped else "== nothing was skipped")
        for sentence in self.skipped:
            print(f"   {sentence}")
        if above := over_budget(self.sizes, json.loads(BUDGET.read_text())):
            raise ReleaseError("\n".join(above))


def over_budget(sizes: Mapping[str, float], budget: Mapping[str, float]) -> list[str]:
    """A sentence for each size that is above its budget, or has none."""
    found = [f"{name} has no budget in release/{BUDGET.name}." for name in sizes if name not in budget]
    return found + [
        f"{name} has {size:.1f} MB and may have {budget[name]} MB: make it smaller, or raise its budget in"
        f" release/{BUDGET.name} and say why in the commit."
        for name, size in sizes.items()
        if name in budget and size > budget[name]
    ]


def call(*words: str | Path, cwd: Path = ROOT, stdin: str | None = None, **environment: str) -> str:
    """Standard output of a command. Raises ReleaseError with what it said where it failed."""
    ended = tried(words, cwd, stdin, environment)
    if ended.returncode:
        raise ReleaseError(f"{' '.join(map(str, words))} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def tried(
    words: Sequence[str | Path],
    cwd: Path = ROOT,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """A command, however it ends."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        words, cwd=cwd, input=stdin, env=kept | dict(environment or {}), capture_output=True, text=True, check=False
    )
