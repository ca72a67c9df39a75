"""How runners are started: forked, where that can be, or by a command."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from relayrun_operator.local.forkserver import ForkServer
from relayrun_operator.local.processes import RunnerProcess

_PACKAGE = "relayrun_runner"


class Starter(Protocol):
    """Starts runners."""

    def open(self) -> None:
        """Get ready, in the running loop."""

    def start(
        self, name: str, environment: Mapping[str, str], *, secrets: Mapping[str, str], folder: Path | None
    ) -> RunnerProcess:
        """Start one."""

    async def close(self) -> None:
        """No more will be started."""


class CommandStarter:
    """Starts runners by a command."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def open(self) -> None:
        """Nothing to get ready."""

    def start(
        self, name: str, environment: Mapping[str, str], *, secrets: Mapping[str, str], folder: Path | None
    ) -> RunnerProcess:
        """Start one."""
        return RunnerProcess.start(name, self._command, environment, secrets=secrets, folder=folder)

    async def close(self) -> None:
        """Nothing to end."""


def make_starter(command: Sequence[str] | None, preload: Sequence[str]) -> Starter:
    """Of runners that `command` starts, or that are forked after `preload`, the user's modules, was imported too.

    Other systems than Linux have libraries of their own that a fork breaks.
    """
    if command is not None:
        return CommandStarter(command)
    if sys.platform != "linux":
        # -P: a file of the agent must not shadow what the runner itself imports.
        return CommandStarter((sys.executable, "-P", "-m", _PACKAGE))
    return ForkServer(_PACKAGE, [f"{_PACKAGE}.preloaded"], preload)
