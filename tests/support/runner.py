"""A real runner process, as the engine sees it: its protocol over HTTP, its reports from the watch stream."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx
import orjson

from tests.support.forked import RUNNER, ForkedProcess
from tests.support.lifeline import Lifeline
from tests.support.waiting import until

TOKEN = "for-tests"
AGENTS = Path(__file__).resolve().parent.parent / "data" / "agents"
_END_SECONDS = 30
_ENDS = ("Finished", "Drained", "Abandoned")
# Below those that Linux gives to connections and to who asks for any. Each process of a session has a part of its own.
_PORTS = range(10_000, 32_000)
_APART = 1_009
_given = itertools.count()


@dataclass(frozen=True)
class RunnerSetup:
    """Where runners come from. `crash_folder` is shared with the agent `crash`: its holds, bombs and logs."""

    database_url: str
    crash_folder: Path
    agent: str = "crash"
    more: dict[str, str] = field(default_factory=dict)

    def environment(self, name: str, port: int) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RELAYRUN_", "LANGSMITH_", "LANGCHAIN_"))}
        return kept | {
            "CRASH_FOLDER": str(self.crash_folder),
            "RELAYRUN_DATABASE_URL": self.database_url,
            "RELAYRUN_TOKEN": TOKEN,
            "RELAYRUN_NAME": name,
            "RELAYRUN_PORT": str(port),
            "RELAYRUN_CONFIG_PATH": str(AGENTS / self.agent / "langgraph.json"),
            "RELAYRUN_CANCEL_GRACE_SECONDS": "1",
            **self.more,
        }


class Runner:
    """One runner process; an async context manager that is entered once it is ready, and kills it at the end."""

    def __init__(self, setup: RunnerSetup, name: str) -> None:
        self.name = name
        self.log = setup.crash_folder / f"{name}.runner.log"
        #: (run id, attempt) → the state last reported.
        self.reports: dict[tuple[str, int], str] = {}
        self._setup = setup
        self._lifeline = Lifeline()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        port = free_port()
        environment = self._setup.environment(self.name, port)
        self._process = await ForkedProcess.start(RUNNER, environment, self.log, self._lifeline.read_end)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self._http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20, trust_env=False
        )
        try:
            await self._until_ready()
        except BaseException:
            await self._leave()
            raise
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._leave()

    @property
    def url(self) -> str:
        return str(self._http.base_url).rstrip("/")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.exit_code is None

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        self._process.kill(_END_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def freeze(self) -> None:
        """Stop the process with SIGSTOP, and wait until it stands still."""
        self.signal(signal.SIGSTOP)
        await until(lambda: self.frozen)

    async def exit_code(self, seconds: float = 60) -> int:
        """The process's exit code, once it has ended by itself."""
        await until(lambda: not self.alive, seconds=seconds)
        assert self._process.exit_code is not None
        return self._process.exit_code

    @property
    def frozen(self) -> bool:
        """Whether the process is stopped by SIGSTOP."""
        status = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return status[0] in "Tt"

    async def put(self, run_id: UUID, attempt: int, *, excused: bool = False, alone: bool = False) -> httpx.Response:
        """Give it an attempt of a run."""
        body = {"attempt": attempt, "excused": excused, "alone": alone}
        return await self._http.put(f"/runs/{run_id}", json=body)

    async def delete(self, run_id: UUID, attempt: int, action: str) -> httpx.Response:
        """Cancel (`interrupt`, `rollback`) or `abandon` an attempt."""
        return await self._http.delete(f"/runs/{run_id}", params={"attempt": attempt, "action": action})

    async def reported(self, run_id: UUID, attempt: int, state: str, seconds: float = 60) -> None:
        """Wait until it has reported this state of the attempt."""
        key = (str(run_id), attempt)
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: self.reports.get(key) == state)

    async def until_done_with(self, run_id: UUID, attempt: int) -> None:
        """Wait until the attempt has ended here in some way, or the process has."""
        key = (str(run_id), attempt)
        await until(lambda: not self.alive or self.reports.get(key) in _ENDS)

    async def _until_ready(self) -> None:
        async with asyncio.timeout(60):
            while True:
                assert self.alive, f"the runner ended:\n{self.log.read_text()[-4000:]}"
                with contextlib.suppress(httpx.HTTPError):
                    response = await self._http.get("/readyz")
                    if response.is_success:
                        return
                    broken = [trouble for trouble in response.json()["reasons"] if trouble["traceback"]]
                    assert not broken, broken[0]["traceback"]
                await asyncio.sleep(0.05)  # the world outside sets no events

    async def _watch(self) -> None:
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError):
            async with self._http.stream("GET", "/runs", params={"watch": "1"}, timeout=None) as response:
                async for line in response.aiter_lines():
                    await self._hear(orjson.loads(line))

    async def _hear(self, said: dict[str, Any]) -> None:
        runs = said["runs"] if said["type"] == "list" else [said] if said["type"] == "run" else []
        async with self._changed:
            self.reports.update({(run["run_id"], run["attempt"]): run["state"] for run in runs})
            self._changed.notify_all()

    async def _leave(self) -> None:
        await self._http.aclose()
        self.kill()
        self._lifeline.close()


def free_port() -> int:
    """A loopback port that is free and stays so: it is given once, and the system gives none of these to others."""
    while True:
        port = _PORTS.start + (os.getpid() * _APART + next(_given)) % len(_PORTS)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
