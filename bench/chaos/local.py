"""`relayrun dev` as the target: its processes are killed, and dev itself is started again when it was the victim."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from bench.chaos.seen import Kill
from bench.chaos.victims import command_of, living
from bench.kills import pool_is_ready
from bench.processes import (
    LOG_NAME,
    ended_with_us,
    free_port,
    local_url,
    quiet_environment,
    stop,
    undisturbed,
    wait_until_it_answers,
    work_folder,
)
from bench.servers import SLOTS, Server
from relayrun_cli.postgres import remove_data

AGENT = Path(__file__).parent / "agent"
VICTIMS = ("runner", "api", "postgres", "parent", "dev")
_FORKS = "relayrun_core.forkserver"


class LocalTarget:
    """A dev in a folder of its own, on one port however often it is started."""

    def __init__(self, folder: Path, runners: int, watch: Callable[[int], None]) -> None:
        self.ledger = folder / "ledger"
        self.ledger.mkdir()
        self._folder = folder
        self._data = folder / "data"
        self._port = free_port()
        self._runners = runners
        self._watch = watch
        self._dev = self._start()

    @property
    def url(self) -> str:
        """Where its API answers."""
        return local_url(self._port)

    @property
    def server(self) -> Server:
        """As the bench's other parts know it."""
        return Server("relayrun dev", self.url, "this checkout", self._dev.pid, self._data)

    @property
    def log(self) -> str:
        """All that dev and its processes have said."""
        return (self._folder / LOG_NAME).read_text(errors="replace")

    def fetch_ledger(self) -> Path:
        """The folder with the ledger."""
        return self.ledger

    async def ready(self) -> None:
        """Wait until the API answers and all runners are ready."""
        await asyncio.to_thread(wait_until_it_answers, "relayrun dev", self._dev, self.url, self._folder / LOG_NAME)
        await pool_is_ready(self.server, self._runners)

    def victims(self) -> Mapping[str, Sequence[psutil.Process]]:
        """See Target."""
        found: defaultdict[str, list[psutil.Process]] = defaultdict(list)
        for process in psutil.process_iter():
            # Whoever its parent is: runners outlive the process that forked them.
            with contextlib.suppress(psutil.Error):
                if process.cwd() == str(self._folder) and (part := _part(process, self._dev.pid)):
                    found[part].append(process)
        for file in self._data.rglob("postmaster.pid"):
            with contextlib.suppress(psutil.Error, OSError, ValueError, IndexError):
                postmaster = psutil.Process(int(file.read_text().split()[0]))
                if postmaster.name().startswith("postgres"):
                    found["postgres"] += [postmaster, *postmaster.children()]
        return {part: [one for one in all_ if living(one)] for part, all_ in found.items()}

    def kill(self, victim: str, process: psutil.Process) -> Kill:
        """See Target."""
        at = time.time()
        process.kill()
        if victim == "dev":
            self._dev.wait()
            self._dev = self._start()
        return Kill(at, victim, process.pid)

    def stop(self) -> None:
        """Stop it in order."""
        with undisturbed():
            stop(self._dev, self._folder)
            asyncio.run(remove_data(self._data))  # Postgres may have put files outside, and survives a killed dev

    def _start(self) -> subprocess.Popen[bytes]:
        command = [
            str(Path(sys.executable).with_name("relayrun")),
            *("dev", "--config", "langgraph.json", "--host", "127.0.0.1", "--port", str(self._port)),
            *("--no-reload", "--no-browser", "--server-log-level", "warning", "--data", str(self._data)),
            *("--runners", str(self._runners), "--n-jobs-per-worker", str(SLOTS)),
        ]
        with (self._folder / LOG_NAME).open("ab") as output:
            dev = subprocess.Popen(
                command,
                cwd=self._folder,
                env={**quiet_environment(), "CHAOS_LEDGER": str(self.ledger)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watch(dev.pid)
        return dev


@contextlib.contextmanager
def local_target(runners: int) -> Iterator[LocalTarget]:
    """A started dev; nothing is left of it afterwards."""
    with work_folder("chaos", AGENT) as folder, ended_with_us() as watch:
        target = LocalTarget(folder, runners, watch)
        try:
            yield target
        finally:
            target.stop()


def _part(process: psutil.Process, dev: int) -> str | None:
    command = command_of(process)
    if process.pid == dev:
        return "dev"
    if "relayrun_api" in command:
        return "api"
    if _FORKS in command:
        parent = process.parent()
        # A child that has not begun yet looks as the one that has forked it, whatever it becomes.
        return None if parent is not None and _FORKS in command_of(parent) else "parent"
    return "runner" if "relayrun_runner" in command else None
