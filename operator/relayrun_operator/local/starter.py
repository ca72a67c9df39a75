"""Starts processes: as forks where that is possible, else by a command."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from relayrun_operator.local.forkserver import ForkServer
from relayrun_operator.local.processes import SupervisedProcess

_API, _RUNNER = "relayrun_api", "relayrun_runner"


class Starter(Protocol):
    """Starts processes of one kind."""

    def open(self) -> None:
        """Get ready, in the running loop."""

    def start(
        self, name: str, environment: Mapping[str, str], *, secrets: Mapping[str, str], folder: Path | None
    ) -> SupervisedProcess:
        """Start one."""

    async def close(self) -> None:
        """No more will be started."""


class CommandStarter:
    """Starts processes by a command."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def open(self) -> None:
        """Nothing to get ready."""

    def start(
        self, name: str, environment: Mapping[str, str], *, secrets: Mapping[str, str], folder: Path | None
    ) -> SupervisedProcess:
        """Start one."""
        return SupervisedProcess.start(name, self._command, environment, secrets=secrets, folder=folder)

    async def close(self) -> None:
        """Nothing to end."""


class ForkStarter:
    """Has a server, which may serve others too, fork processes that become `package`."""

    def __init__(self, server: ForkServer, package: str) -> None:
        self._server = server
        self._package = package

    def open(self) -> None:
        """Start importing."""
        self._server.open()

    def start(
        self, name: str, environment: Mapping[str, str], *, secrets: Mapping[str, str], folder: Path | None
    ) -> SupervisedProcess:
        """Fork one."""
        return self._server.start(self._package, name, environment, secrets=secrets, folder=folder)

    async def close(self) -> None:
        """End the server, and whatever it has forked."""
        await self._server.close()


def make_starter(command: Sequence[str] | None, preload: Sequence[str]) -> Starter:
    """Of runners that `command` starts, or that are forked after `preload`, the user's modules, was imported too.

    Other systems than Linux have libraries of their own that a fork breaks.
    """
    if command is not None:
        return CommandStarter(command)
    if sys.platform != "linux":
        return CommandStarter(_command(_RUNNER))
    return ForkStarter(ForkServer([_preloaded(_RUNNER)], preload), _RUNNER)


class Starters(NamedTuple):
    """Of the API, of runners, and of a further package, which shares what runners have imported."""

    api: Starter
    runners: Starter
    further: Starter


def make_starters(command: Sequence[str] | None, preload: Sequence[str], further: str) -> Starters:
    """Of runners as `make_starter` has it. What the user names is never imported into the API."""
    if sys.platform != "linux":
        return Starters(*(CommandStarter(_command(package)) for package in (_API, _RUNNER, further)))
    if command is not None:
        api = ForkStarter(ForkServer([_preloaded(_API)]), _API)
        return Starters(api, CommandStarter(command), CommandStarter(_command(further)))
    server = ForkServer([_preloaded(_RUNNER)], preload)
    # One process for what both import, which is half of it, then one for each: they import the rest side by side.
    api = ForkStarter(ForkServer([_preloaded(_API)], trunk=server), _API)
    return Starters(api, ForkStarter(server, _RUNNER), ForkStarter(server, further))


def _preloaded(package: str) -> str:
    return f"{package}.preloaded"


def _command(package: str) -> tuple[str, ...]:
    # -P: a file of the agent must not shadow what the process itself imports.
    return (sys.executable, "-P", "-m", package)
