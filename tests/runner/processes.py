"""Real runner processes for tests, and the folders of agents that they serve."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.support.forked import RUNNER, ForkedProcess
from tests.support.runner import free_port

TOKEN = "a token of the tests"


def write_agent(folder: Path, code: str, *, file: str = "agent.py", **keys: Any) -> Path:
    """An agent folder with one Python file and a `langgraph.json`; its path is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(code))
    config = {"dependencies": ["."], "graphs": {"agent": f"./{file}:graph"}, **keys}
    (folder / "langgraph.json").write_text(json.dumps(config))
    return folder / "langgraph.json"


@dataclass
class RunnerProcess:
    """A runner process and a client of its protocol."""

    process: subprocess.Popen[bytes] | ForkedProcess
    client: httpx.AsyncClient
    log_file: Path
    parent_pipe: int | None = None

    def log(self) -> str:
        return self.log_file.read_text()

    async def put(self, run_id: UUID, attempt: int = 1, **more: Any) -> httpx.Response:
        return await self.client.put(f"/runs/{run_id}", json={"attempt": attempt, **more})

    async def put_anything(self) -> httpx.Response:
        return await self.put(uuid4())

    async def delete(self, run_id: UUID, attempt: int = 1, action: str = "interrupt") -> httpx.Response:
        return await self.client.delete(f"/runs/{run_id}", params={"attempt": attempt, "action": action})

    async def runs(self) -> dict[str, dict[str, Any]]:
        listed = (await self.client.get("/runs")).json()["runs"]
        return {entry["run_id"]: entry for entry in listed}

    async def state_of(self, run_id: UUID) -> str | None:
        entry = (await self.runs()).get(str(run_id))
        return None if entry is None else str(entry["state"])

    async def readyz(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.client.get("/readyz")).json()
        return answer

    async def wait_ready(self, *, seconds: float = 60.0) -> None:
        await self._poll_readyz(lambda answer: bool(answer["ready"]), seconds)

    async def wait_trouble(self, *, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Until it says why it is not ready, other than that it is starting."""
        found: list[dict[str, Any]] = []

        def told(answer: dict[str, Any]) -> bool:
            found[:] = [reason for reason in answer["reasons"] if reason["subject"] != "start"]
            return bool(found)

        await self._poll_readyz(told, seconds)
        return found

    async def wait_state(self, run_id: UUID, *states: str, seconds: float = 60.0) -> dict[str, Any]:
        """Until the run is in one of the states here."""
        async with asyncio.timeout(seconds):
            while True:
                entry = (await self.runs()).get(str(run_id))
                if entry is not None and entry["state"] in states:
                    return entry
                await asyncio.sleep(0.02)

    async def wait_exit(self, *, seconds: float = 60.0) -> int:
        async with asyncio.timeout(seconds):
            while (code := self.process.poll()) is None:
                await asyncio.sleep(0.02)
            return code

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        """The lines of the watch stream."""
        async with self.client.stream("GET", "/runs", params={"watch": 1}, timeout=20) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                yield json.loads(line)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def close_parent_pipe(self) -> None:
        """What the kernel does when the parent dies."""
        if self.parent_pipe is not None:
            os.close(self.parent_pipe)
            self.parent_pipe = None

    async def _poll_readyz(self, done: Any, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(httpx.TransportError):
                        if done(await self.readyz()):
                            return
                    assert self.process.poll() is None, f"the runner ended: {self.log()}"
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"the runner did not get there: {self.log()}") from None


@asynccontextmanager
async def runner_process(
    config: Path,
    database_url: str,
    *,
    environment: dict[str, str] | None = None,
    with_parent_pipe: bool = False,
    module: str = RUNNER,
    **settings: Any,
) -> AsyncIterator[RunnerProcess]:
    """A runner that serves this agent until the block ends. `settings` are RELAYRUN_* in lower case.

    It is forked, as in both worlds. With `module` relayrun_runner.pod it is what a pod's first process forks.
    """
    port = free_port()
    log_file = config.parent / f"runner-{port}.log"
    given = {"name": f"r{port}", "slots": 4, "cancel_grace_seconds": 1.0, "drain_grace_seconds": 5.0, **settings}
    env = {
        **os.environ,
        "PYTHONPATH": "",
        "LANGSMITH_TRACING": "false",
        "PYTHONUNBUFFERED": "1",
        **(environment or {}),
        "RELAYRUN_DATABASE_URL": database_url,
        "RELAYRUN_TOKEN": TOKEN,
        "RELAYRUN_PORT": str(port),
        "RELAYRUN_CONFIG_PATH": str(config),
        **{f"RELAYRUN_{name.upper()}": str(value) for name, value in given.items()},
    }
    parent_end: int | None = None
    process: subprocess.Popen[bytes] | ForkedProcess
    log_file.touch()
    if module == RUNNER and not with_parent_pipe:
        process = await ForkedProcess.start(RUNNER, env, log_file, None)
    else:
        process, parent_end = _started(module, env, log_file, with_parent_pipe=with_parent_pipe)
    runner: RunnerProcess | None = None
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as client:
            runner = RunnerProcess(process, client, log_file, parent_end)
            yield runner
    finally:
        process.kill()
        if isinstance(process, subprocess.Popen):
            process.wait()
        if runner is not None:
            runner.close_parent_pipe()


def _started(
    module: str, env: dict[str, str], log_file: Path, *, with_parent_pipe: bool
) -> tuple[subprocess.Popen[bytes], int]:
    """A process of its own from the first line on, and the end of a pipe that its parent holds."""
    child_end, parent_end = os.pipe()
    if with_parent_pipe:
        env["RELAYRUN_PARENT_FD"] = str(child_end)
    with log_file.open("wb") as log:
        # As in an image: the command is short, and found on the PATH.
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        command = ["python", "-P", "-m", module]
        process = subprocess.Popen(
            command, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, pass_fds=[child_end]
        )
    os.close(child_end)
    return process, parent_end
