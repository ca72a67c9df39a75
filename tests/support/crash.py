"""Plays the engine for crash tests: accepts runs, places them on real runners, and places them again when those die."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import httpx

from relayrun_core.database import Database
from relayrun_core.db.journal import Event, read_events
from relayrun_core.db.rows import Thread
from relayrun_core.db.runs import create_run, get_run
from relayrun_core.db.threads import get_thread
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, Run, RunSpec
from relayrun_runner.retry import until_deadline
from tests.support.pool import RunnerPool
from tests.support.runner import Runner
from tests.support.waiting import until
from tests.support.witness import Note, nothing_repeated, read_notes, steps_begun

_PLACINGS = 8


class Crash:
    """The engine of one test."""

    def __init__(self, database: Database, pool: RunnerPool) -> None:
        self.database = database
        self.pool = pool
        self._folder = pool.setup.crash_folder
        self._taken: list[Runner] = []

    async def accept(self, graph: str, *, thread: UUID | None = None, **spec: Any) -> Run:
        """A pending run, on a thread of its own unless told."""
        spec.setdefault("input", None if spec.get("command") else {})
        new = NewRun(new_run_id(), thread or uuid4(), "default", graph, RunSpec(**spec))
        await create_run(self.database, new)
        (self._folder / str(new.run_id)).mkdir()
        return await self.read(new)

    async def read(self, run: Run | NewRun) -> Run:
        """The run as it is now."""
        deadline = asyncio.get_running_loop().time() + 60
        found = await until_deadline(lambda: get_run(self.database, run.run_id), deadline, "reading the run")
        assert found is not None
        return found

    async def thread(self, run: Run) -> Thread:
        """The run's thread as it is now."""
        found = await get_thread(self.database, run.thread_id)
        assert found is not None
        return found

    async def take(self) -> Runner:
        """A runner of this test's own."""
        runner = await self.pool.take()
        self._taken.append(runner)
        return runner

    async def start(self, run: Run, runner: Runner | None = None, *, attempt: int = 1) -> Runner:
        """Have a runner claim the run."""
        runner = runner or await self.take()
        assert await self._place(run, runner, attempt) == attempt
        return runner

    async def finish(self, run: Run, runner: Runner | None = None) -> Run:
        """Place the run until it has ended, however many runners die of it. `runner` has it already."""
        attempt = (await self.read(run)).attempt
        for _ in range(_PLACINGS):
            if runner is None:
                runner = await self.take()
                attempt = await self._place(run, runner, attempt + 1)
                now = await self.read(run)
                if now.status.finished:  # the claim itself may end a run
                    return now
            await runner.until_done_with(run.run_id, attempt)
            now = await self.read(run)
            if now.status.finished:
                return now
            runner = None
        raise AssertionError(f"it was placed {_PLACINGS} times and does not end: {await self.read(run)}")

    async def _place(self, run: Run, runner: Runner, attempt: int) -> int:
        """Give the run to the runner, once its back-off is over; the attempt's number is returned."""
        try:
            response = await runner.put(run.run_id, attempt)
        except httpx.TransportError:
            await until(lambda: not runner.alive)  # it died of the claim
            return attempt
        said = response.json()
        match said.get("reason"):
            case "BackOff":
                await asyncio.sleep(said["seconds"])  # what the database told the engine to do
                return await self._place(run, runner, said["attempt"] + 1)
            case "DatabaseAway":
                await asyncio.sleep(0.1)  # the engine's pause before it asks the same runner again
                return await self._place(run, runner, attempt)
        assert response.status_code in (200, 202), (response.status_code, response.text)
        return attempt

    # What the test does to a run

    def hold(self, run: Run, step: str) -> None:
        """Keep the step waiting until `let_go`."""
        (self._folder / str(run.run_id) / f"hold-{step}").touch()

    def let_go(self, run: Run, step: str) -> None:
        (self._folder / str(run.run_id) / f"hold-{step}").unlink()

    def bomb(self, run: Run, point: str, *, nth: int = 1, signal: str = "SIGKILL") -> None:
        """Have the process that passes this point for the n-th time get the signal."""
        (self._folder / str(run.run_id) / f"bomb-{point}").write_text(f"{signal} {nth}")

    def went_off(self, run: Run, point: str) -> bool:
        return not (self._folder / str(run.run_id) / f"bomb-{point}").exists()

    async def kill_in(self, run: Run, step: str, runner: Runner | None = None) -> None:
        """Start the run, and kill -9 its runner while the step runs."""
        self.hold(run, step)
        runner = await self.start(run, runner)
        await self.until_in(run, step)
        runner.kill()
        self.let_go(run, step)

    # What the test sees

    def notes(self, run: Run) -> list[Note]:
        """All that the agent noted on the run's thread, in order."""
        return read_notes(self._folder, run.thread_id)

    def begun(self, run: Run) -> list[str]:
        """The steps of the run that began, as often as they did, in order."""
        return steps_begun(self.notes(run), run.run_id)

    async def until_in(self, run: Run, step: str) -> None:
        """Wait until the run is in this step."""
        await until(lambda: step in self.begun(run))

    async def journal(self, run: Run) -> list[Event]:
        """The run's journal."""
        return await read_events(self.database, run.run_id, -1, limit=10_000)

    def nothing_repeated(self, run: Run) -> None:
        """No task of the thread began again once its writes were saved."""
        nothing_repeated(self.notes(run))

    async def close(self) -> None:
        """Give back the runners that live, unless one may still run something, or an attempt of its was taken over: a
        run that is lost beside such an attempt is not to blame.
        """
        for runner in self._taken:
            finished = all(state == "Finished" for state in runner.reports.values())
            if runner.alive and finished and not runner.frozen:
                self.pool.give_back(runner)
            elif runner.alive:
                runner.kill()


def told(journal: list[Event], kind: str = "updates") -> Counter[str]:
    """How often each step's update is in a journal, of subgraphs too."""
    steps: Counter[str] = Counter()
    for event in journal:
        if event.event.partition("|")[0] == kind:
            steps.update(key for key in json.loads(event.data) if not key.startswith("__"))
    return steps


def whole(journal: list[Event], attempts: int = 1) -> None:
    """The journal is in order and without a gap: each attempt begins with its metadata, and one `end` is last."""
    expected = 0
    for event in journal:
        first = event.attempt << 32 | 1
        if event.seq == first:
            if event.event == "metadata":
                assert json.loads(event.data)["attempt"] == event.attempt
        else:
            assert event.seq == expected, f"a gap before {event}"
        expected = event.seq + 1
    assert [event.seq for event in journal if event.event == "end"] == [journal[-1].seq]
    assert journal[-1].attempt == attempts, f"it took {journal[-1].attempt} attempts"


async def settle(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
