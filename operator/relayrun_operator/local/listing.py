"""The file in which the API finds the runners: one JSON object, replaced as a whole whenever it changes."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from relayrun_operator.local.runner import LocalRunner


@dataclass(frozen=True)
class AgentFacts:
    """What is said of the agent as a whole. `deaths`: the last ends that nobody asked for, the newest first."""

    name: str
    desired: int
    generation: str = "0"
    deaths: tuple[Mapping[str, str], ...] = ()


class Listing:
    """Writes `{"runners": […], "agent": {…}, "desired", "problems", "starting"}`.

    A runner has "name", "url", "agent", "graphs", "ready", "state", "slots" and "generation"; the agent "name",
    "generation" and "deaths".

    A draining runner is not ready; of problems, which may carry a traceback, the first line is. `starting` is true
    until a runner has been ready. Without a path it does nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written: str | None = None
        self._starting = True

    def write(self, runners: Iterable[LocalRunner], about: AgentFacts, problems: tuple[str, ...]) -> None:
        """Write, if anything has changed."""
        if self._path is None:
            return
        listed = [_entry(runner) for runner in runners]
        self._starting = self._starting and not any(entry["ready"] for entry in listed)
        first_lines = [problem.partition("\n")[0] for problem in problems]
        content = {
            "runners": listed,
            "agent": {"name": about.name, "generation": about.generation, "deaths": about.deaths},
            "desired": about.desired,
            "problems": first_lines,
            "starting": self._starting,
        }
        text = json.dumps(content, indent=1)
        if text != self._written:
            temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            temporary.write_text(text)
            temporary.replace(self._path)
            self._written = text

    def remove(self) -> None:
        """Nobody is there any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._written = None


def _entry(runner: LocalRunner) -> dict[str, object]:
    return {
        "name": runner.name,
        "url": runner.client.url,
        "agent": runner.agent,
        "graphs": sorted(runner.graphs),
        "ready": runner.ready and not runner.draining,
        "state": "draining" if runner.draining else "ready" if runner.ready else "starting",
        "slots": runner.slots,
        "generation": runner.generation,
    }
