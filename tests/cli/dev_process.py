"""`relayrun dev` as a person starts it, on a project whose code a test may change; for tests that kill its parts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.processes import ended_with_us
from tests.support.dev import parts_of
from tests.support.runner import free_port
from tests.support.waiting import until

START_SECONDS = 90.0

# The node `gate` waits for the file `go`; every node notes its name, and this file's word, in `effects`.
AGENT = """
import asyncio, operator
from pathlib import Path
from typing import Annotated, TypedDict
from langgraph.graph import END, START, StateGraph

HERE = Path(__file__).parent
WORD = "one"

class State(TypedDict):
    steps: Annotated[list[str], operator.add]

def note(name):
    with (HERE / "effects").open("a") as file:
        file.write(f"{name} {WORD}\\n")
    return {"steps": [f"{name} {WORD}"]}

async def first(state: State):
    return note("first")

async def gate(state: State):
    told = note("gate")
    while not (HERE / "go").exists():
        await asyncio.sleep(0.02)
    return told

async def last(state: State):
    return note("last")

builder = StateGraph(State)
for node in (first, gate, last):
    builder.add_node(node)
builder.add_edge(START, "first")
builder.add_edge("first", "gate")
builder.add_edge("gate", "last")
builder.add_edge("last", END)
graph = builder.compile()
"""


class Project:
    """A folder with an agent, the one above by default; `graphs` are the names of its graphs in the code."""

    def __init__(self, folder: Path, code: str = AGENT, graphs: Sequence[str] = ("graph",)) -> None:
        self.folder = folder
        self.code = folder / "agent.py"
        self.code.write_text(code)
        named = {"agent" if graph == "graph" else graph: f"./agent.py:{graph}" for graph in graphs}
        (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": named}))

    @property
    def data(self) -> Path:
        return self.folder / ".relayrun"

    def effects(self) -> list[str]:
        """What nodes did, in order."""
        file = self.folder / "effects"
        return file.read_text().splitlines() if file.exists() else []

    def close_gate(self) -> None:
        (self.folder / "go").unlink(missing_ok=True)
        (self.folder / "effects").unlink(missing_ok=True)

    def open_gate(self) -> None:
        (self.folder / "go").touch()


class Dev:
    """A running `relayrun dev`."""

    def __init__(self, project: Project, port: int, process: subprocess.Popen[bytes], log: Path, begins: int) -> None:
        self.project = project
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process = process
        self._log = log
        self._begins = begins  # an earlier dev in the same project wrote to the same file

    @property
    def log(self) -> str:
        """All that it and its parts printed."""
        return self._log.read_bytes()[self._begins :].decode(errors="replace")

    @property
    def postgres_pid(self) -> int:
        return int((self.project.data / "postgres" / "postmaster.pid").read_text().split("\n")[0])

    def part(self, module: str) -> list[psutil.Process]:
        """Its live processes of a module, `relayrun_api` or `relayrun_runner`."""
        return [found for found in parts_of(psutil.Process(self.process.pid), module) if alive(found)]

    async def wait_for(self, words: str, seconds: float = START_SECONDS) -> None:
        """Wait until it has printed something; fails with the log if it ends instead."""

        def there() -> bool:
            assert words in self.log or self.process.poll() is None, self.log
            return words in self.log

        try:
            await until(there, seconds=seconds)
        except TimeoutError:
            raise AssertionError(f"{words!r} not in the log:\n{self.log}") from None

    async def ended(self, seconds: float = 60.0) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.to_thread(self.process.wait, seconds)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def call(self, method: str, path: str, body: Any = None, *, seconds: float = 60.0) -> Any:
        """The JSON of an answer; tried again where the API, or the database behind it, is just restarting."""
        async with httpx.AsyncClient(base_url=self.url, timeout=seconds) as client, asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.request(method, path, json=body)
                    if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                        break
                await asyncio.sleep(0.05)
        assert answer.is_success, answer.text
        return answer.json()

    async def start_run(self, thread: str) -> str:
        """Start a run of the agent on a named thread, and return its id."""
        await self.call("POST", "/threads", {"thread_id": thread, "if_exists": "do_nothing"})
        wanted = {"assistant_id": "agent", "input": {"steps": []}}
        return str((await self.call("POST", f"/threads/{thread}/runs", wanted))["run_id"])

    async def join(self, thread: str, run_id: str) -> Any:
        """The run's final values, waited for."""
        return await self.call("GET", f"/threads/{thread}/runs/{run_id}/join", seconds=60)


@asynccontextmanager
async def running_dev(
    project: Project,
    *,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> AsyncIterator[Dev]:
    """A `relayrun dev` with one runner that has shown its banner; killed at the end, Postgres excepted."""
    port = port or free_port()
    log = project.folder / "dev.log"
    log.touch()
    begins = log.stat().st_size
    with ended_with_us() as watch:
        process = start(project, ["--port", str(port), "--runners", "1", *arguments], log, environment)
        watch(process.pid)
        dev = Dev(project, port, process, log, begins)
        try:
            await dev.wait_for("Access")
            yield dev
        finally:
            ours = [*dev.part("relayrun_api"), *dev.part("relayrun_runner")] if dev.process.poll() is None else []
            dev.process.kill()
            dev.process.wait()
            await until(lambda: not any(map(alive, ours)))  # they would go on writing where all is removed


def start(
    project: Project, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `relayrun dev` in a project, its output appended to a file."""
    ours = ("RELAYRUN_", "DATABASE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "relayrun_cli", "dev", "--no-browser", *arguments],
            cwd=project.folder,
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_of(process: psutil.Process) -> list[str]:
    """Its command line, an empty one if it ends meanwhile."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
