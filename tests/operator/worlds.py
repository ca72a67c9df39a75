"""Worlds for tests: real Postgres, real runner processes, a small agent that leaves traces in a folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

from relayrun_core.database import Database
from relayrun_core.db.runs import create_run, get_run, request_cancel
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, Run, RunSpec
from relayrun_core.states import CancelAction, RunStatus
from relayrun_operator.local.settings import LocalWorldSettings
from relayrun_operator.local.world import LocalWorld
from tests.support.waiting import until

AGENT = """
import asyncio, os, signal, time
from pathlib import Path
from typing import Annotated, TypedDict
import operator
from langgraph.graph import START, StateGraph

HERE = Path(__file__).parent
VERSION = "one"


class State(TypedDict, total=False):
    did: Annotated[list[str], operator.add]
    name: str
    gate: str      # the second step waits for this file
    poison: bool   # the first step kills its process


async def first(state: State) -> State:
    leave_trace(state, "first")
    if state.get("poison"):
        while not (HERE / "kill").exists():
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return {"did": [f"first {VERSION}"]}


async def second(state: State) -> State:
    leave_trace(state, "second")
    while state.get("gate") and not (HERE / state["gate"]).exists():
        await asyncio.sleep(0.01)
    return {"did": [f"second {VERSION}"]}


def leave_trace(state: State, step: str) -> None:
    if state.get("name"):
        with (HERE / "trace").open("a") as trace:
            trace.write(f"{state['name']} {step} {os.getpid()}\\n")


steps = StateGraph(State).add_node("first", first).add_node("second", second)
steps.add_edge(START, "first").add_edge("first", "second")
"""


@dataclass
class AnyPlay:
    """A running world, of either kind, with its agent's folder, and what tests do to both."""

    folder: Path
    database: Database
    task: asyncio.Task[None]

    async def start_run(self, *, thread: UUID | None = None, graph: str = "steps", **state: Any) -> UUID:
        spec_fields = state.pop("spec", {})
        spec = RunSpec(input=state or {"did": []}, **spec_fields)
        new = NewRun(new_run_id(), thread or uuid4(), "default", graph, spec)
        await self.accept(new)
        return new.run_id

    async def accept(self, new: NewRun) -> None:
        """As the API does."""
        await create_run(self.database, new)

    async def cancel(self, run_id: UUID) -> None:
        """As the API does."""
        await request_cancel(self.database, run_id, CancelAction.INTERRUPT)

    async def run(self, run_id: UUID) -> Run:
        found = await get_run(self.database, run_id)
        assert found is not None
        return found

    async def until_finished(self, run_id: UUID, *, seconds: float = 60) -> Run:
        return await self.until_run(run_id, lambda run: run.status.finished, seconds=seconds)

    async def until_running(self, run_id: UUID, *, seconds: float = 30) -> Run:
        return await self.until_run(run_id, lambda run: run.status is RunStatus.RUNNING, seconds=seconds)

    async def until_run(self, run_id: UUID, condition: Callable[[Run], bool], *, seconds: float = 30) -> Run:
        async with asyncio.timeout(seconds):
            while not condition(run := await self.run(run_id)):
                assert not self.task.done(), self.task
                await asyncio.sleep(0.02)
        return run

    async def until_traced(self, name: str, step: str, times: int = 1) -> list[int]:
        """The process ids of those who began this step."""
        await until(lambda: len(self.traces(name, step)) >= times, seconds=60)
        return self.traces(name, step)

    def traces(self, name: str, step: str) -> list[int]:
        trace = self.folder / "trace"
        lines = trace.read_text().splitlines() if trace.exists() else []
        return [int(pid) for n, s, pid in map(str.split, lines) if (n, s) == (name, step)]

    def open_gate(self, name: str = "gate") -> None:
        (self.folder / name).touch()

    def set_version(self, value: str) -> None:
        """Change the agent's code: the expression behind `VERSION`."""
        file = self.folder / "agent.py"
        code, times = re.subn("(?m)^VERSION = .*$", f"VERSION = {value}", file.read_text())
        assert times == 1
        file.write_text(code)

    @property
    def runners(self) -> list[dict[str, Any]]:
        """Each with its name, pid, load, and whether it is ready and drains."""
        raise NotImplementedError

    #: What messages call the agent.
    agent: ClassVar[str]

    @property
    def load(self) -> int:
        """How many slots are taken."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """How many runs wait for a slot."""
        raise NotImplementedError

    @property
    def unfinished(self) -> int:
        """How many runs the world takes for unfinished."""
        raise NotImplementedError

    @property
    def ready_runners(self) -> list[dict[str, Any]]:
        return [runner for runner in self.runners if runner["ready"] and not runner["draining"]]

    async def until_ready(self, count: int) -> None:
        await until(lambda: len(self.ready_runners) >= count or self.task.done(), seconds=90)
        assert not self.task.done(), self.task

    def signal(self, runner_name: str | None, number: signal.Signals) -> int:
        [pid] = [runner["pid"] for runner in self.runners if runner["name"] == runner_name]
        os.kill(pid, number)
        return int(pid)

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@dataclass
class Play(AnyPlay):
    """A local world."""

    settings: LocalWorldSettings
    world: LocalWorld
    agent = "default"

    @property
    def runners(self) -> list[dict[str, Any]]:
        return list(self.world.snapshot().get("runners", ()))

    @property
    def load(self) -> int:
        return sum(runner["load"] for runner in self.runners)

    @property
    def waiting(self) -> int:
        return int(self.world.snapshot()["runs"]["waiting_for_a_slot"])

    @property
    def unfinished(self) -> int:
        return int(self.world.snapshot()["runs"]["unfinished"])

    def listed(self) -> dict[str, Any]:
        """What the API is told of the runners."""
        path = self.settings.runners_file
        return dict(json.loads(path.read_text())) if path.exists() else {"runners": [], "problems": []}

    async def restart(self) -> None:
        """Another world on the same database, as after a start of `relayrun dev`."""
        self.world = LocalWorld(self.settings, self.database.url)
        self.task = asyncio.create_task(self.world.run())


def write_agent(folder: Path) -> Path:
    """The agent's folder; the path of its `langgraph.json` is returned."""
    folder.mkdir()
    (folder / "agent.py").write_text(AGENT)
    config = {"dependencies": ["."], "graphs": {"steps": "./agent.py:steps"}}
    (folder / "langgraph.json").write_text(json.dumps(config))
    return folder / "langgraph.json"


@asynccontextmanager
async def local_world(folder: Path, database_url: str, **settings: Any) -> AsyncIterator[Play]:
    """A world that runs until the block ends, with ready runners."""
    config = write_agent(folder / "agent")
    chosen = LocalWorldSettings(config, token="a token of the tests", runners_file=folder / "runners.json")
    chosen = replace(
        chosen,
        **{"runners": 2, "slots": 4, "stop_seconds": 0.2, "environment": {"LANGSMITH_TRACING": "false"}} | settings,
    )
    async with Database.open(database_url, role="world", max_size=4) as database:
        world = LocalWorld(chosen, database_url)
        play = Play(config.parent, database, asyncio.create_task(world.run()), chosen, world)
        try:
            await play.until_ready(1 if chosen.debugging else chosen.runners)
            yield play
        finally:
            await play.stop()
