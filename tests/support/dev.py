"""`relayrun dev` as a real process, by default on the agent `crash`: started, killed in part or as a whole, started
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.processes import ended_with_us
from tests.support.postgres import scratch_folder
from tests.support.runner import AGENTS, free_port
from tests.support.waiting import until, until_it_is

_START_SECONDS = 120
_STOP_SECONDS = 30


class Dev:
    """One `relayrun dev`. Its folder outlives its process."""

    def __init__(
        self,
        folder: Path,
        watch: Callable[[int], None],
        *,
        runners: int = 2,
        slots: int = 10,
        config: Path = AGENTS / "crash" / "langgraph.json",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.crash_folder = folder / "crash"
        self.crash_folder.mkdir(exist_ok=True)
        self.log = folder / "dev.log"
        self.data = folder / ".relayrun"
        self._watch = watch
        self._runners = runners
        self._slots = slots
        self._config = config
        self._more = dict(environment or {})
        self._port = free_port()
        self._process: psutil.Popen | None = None
        self._listed_before: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def _listing(self) -> Path:
        return self.data / "runners.json"

    @property
    def process(self) -> psutil.Popen:
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        """Start it, and return when its API answers and all its runners take runs."""
        self._listed_before = self._listed_at()
        with self.log.open("ab") as log:
            self._process = psutil.Popen(
                self._command(), env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._watch(self._process.pid)
        await until(self._is_ready, seconds=_START_SECONDS)
        await self.answers()

    def kill(self) -> None:
        """Kill -9 of dev alone: what it started has to notice by itself."""
        self.process.kill()
        self.process.wait(_STOP_SECONDS)

    async def stop(self) -> None:
        """As Ctrl-C does."""
        if self._process is not None and self._process.is_running():
            self._process.send_signal(signal.SIGINT)
            try:
                await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
            except psutil.TimeoutExpired:
                self.kill()
                raise

    def running(self, part: str) -> list[psutil.Process]:
        """The processes of a part: `relayrun_api`, `relayrun_runner` or `postgres` (its postmaster)."""
        return parts_of(self.process, part)

    def listed_runners(self) -> dict[str, bool]:
        """The runners that the API is told of, by name, and whether they are ready."""
        return {runner["name"]: runner["ready"] for runner in self._listed()}

    def listed_urls(self) -> list[str]:
        """Where these runners listen."""
        return [runner["url"] for runner in self._listed()]

    def ready_runners(self) -> list[psutil.Process]:
        """The processes of the runners that take runs."""
        listed = self.listed_runners()
        return [process for process in self.running("relayrun_runner") if listed.get(name_of(process))]

    async def answers(self) -> None:
        """Wait until the API answers."""

        async def ok() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                async with httpx.AsyncClient(trust_env=False) as client:
                    return (await client.get(f"{self.url}/ok")).is_success
            return False

        await until_it_is(ok)

    def _listed(self) -> list[dict[str, Any]]:
        try:
            listed: list[dict[str, Any]] = json.loads(self._listing.read_text())["runners"]
        except FileNotFoundError:
            return []
        return listed

    def _listed_at(self) -> int | None:
        """When runners were listed last, in nanoseconds."""
        try:
            return self._listing.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"dev ended:\n{self.log.read_text()[-4000:]}"
        if self._listed_at() == self._listed_before:  # as one that was killed has left it
            return False
        return list(self.listed_runners().values()).count(True) == self._runners

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "relayrun_cli", "dev", "--config", str(self._config), "--port", str(self._port)),
            *("--no-reload", "--no-browser", "--data", str(self.data), "--runners", str(self._runners)),
            *("--n-jobs-per-worker", str(self._slots)),
        ]

    def _environment(self) -> dict[str, str]:
        dropped = ("RELAYRUN_", "LANGSMITH_", "LANGCHAIN_", "DATABASE_URL", "OPENAI_", "CHAT_MODEL")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return kept | {"CRASH_FOLDER": str(self.crash_folder), "NO_COLOR": "1"} | self._more


@asynccontextmanager
async def relayrun_dev(**options: Any) -> AsyncIterator[Dev]:
    """A started dev in a folder of its own; at the end nothing of it is left."""
    async with scratch_folder("dev") as folder:
        with ended_with_us() as watch:
            dev = Dev(folder, watch, **options)
            try:
                await dev.start()
                yield dev
            except BaseException:
                print(dev.log.read_text()[-6000:])
                raise
            finally:
                await dev.stop()
        left = [process for process in psutil.process_iter() if str(folder) in " ".join(_command_of(process))]
        assert not left, f"left running: {left}"


def parts_of(dev: psutil.Process, part: str) -> list[psutil.Process]:
    """Processes of a part that a dev has started, or that the process has forked that forks runners for it."""
    found = []
    for child in dev.children():
        command = " ".join(_command_of(child))
        if "relayrun_core.forkserver" in command:
            found += parts_of(child, part)
        elif part in command:
            found.append(child)
    return found


def name_of(runner: psutil.Process) -> str:
    """Under which name it is listed; an empty one once it has ended."""
    try:
        return runner.environ().get("RELAYRUN_NAME", "")
    except psutil.Error:
        return ""


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
