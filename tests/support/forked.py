"""Runner and API processes forked from one that has loaded their libraries: LangGraph and FastAPI take seconds.

Everything else happens as where `relayrun dev` and pods fork them: settings, environment, the agent's code, the
database. What a start itself does is for the tests with real ones (`tests/runner/processes.py`,
`relayrun dev`).
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Self

from relayrun_core.forkserver.forking import Child, become
from relayrun_core.process.parent import VARIABLE as PARENT_VARIABLE
from tests.support.waiting import until

#: Packages whose `__main__` is what the process does.
API, RUNNER = "relayrun_api", "relayrun_runner"
_LOADED = ["relayrun_api.preloaded", "relayrun_runner.preloaded"]
_REPOSITORY = Path(__file__).resolve().parents[2]
# As with `python -P`: an agent finds neither what the tests do, nor the agents that a test before it has imported.
_PATH = [place for place in sys.path if place and Path(place) != _REPOSITORY]
_LONGEST_SECONDS = 120
_forks = multiprocessing.get_context("forkserver")
# A start looks after all earlier processes too, and an exit code can be read once: of two threads one would get 255.
_one_at_a_time = threading.Lock()


class ForkedProcess:
    """One of them. Its exit code is the signal's negative number if one has ended it."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @classmethod
    async def start(
        cls,
        package: str,
        environment: Mapping[str, str],
        log: Path | None,
        lifeline: int | None,
        folder: Path | None = None,
    ) -> Self:
        """Start API or RUNNER, whose output is appended to a file, and that ends when the pipe `lifeline` is closed."""
        _forks.set_forkserver_preload(_LOADED)
        with contextlib.ExitStack() as stack:
            pipe = None if lifeline is None else stack.enter_context(Connection(os.dup(lifeline), writable=False))
            descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
            given = (package, dict(environment), log and str(log), pipe, descriptors, folder and str(folder), _PATH)
            process = _forks.Process(target=_run, args=given, daemon=True)
            await asyncio.to_thread(_start, process)  # the first one waits for the imports
        return cls(process)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        with _one_at_a_time:
            return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, as `subprocess` tells it."""
        return self.exit_code

    async def wait(self) -> int:
        """The exit code, once it has ended."""
        await until(lambda: self.exit_code is not None, seconds=_LONGEST_SECONDS)
        assert self.exit_code is not None
        return self.exit_code

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it, if it still runs."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and that is not known yet
                os.kill(self.pid, number)

    def kill(self, seconds: float = 30) -> None:
        """Kill -9, and wait until it is gone."""
        with _one_at_a_time:
            self._process.kill()
            self._process.join(seconds)
        assert self.exit_code is not None, f"{self.pid} does not die"


def _start(process: ForkServerProcess) -> None:
    with _one_at_a_time:
        process.start()


def _run(
    package: str,
    environment: dict[str, str],
    log: str | None,
    lifeline: Connection | None,
    descriptors: tuple[int, int],
    folder: str | None,
    path: list[str],
) -> None:
    os.setsid()
    # As this process would inherit it: its parent has the limit of whoever started the first one.
    resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)
    sys.path[:] = path
    output = None if log is None else os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # as PYTHONUNBUFFERED=1 would
    if lifeline is not None:
        environment = {**environment, PARENT_VARIABLE: str(lifeline.fileno())}
    become(Child(package, environment, folder, output))()
