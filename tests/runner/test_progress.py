"""What counts as progress of a run: by that alone an attempt whose process died is told from one that got nowhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata, empty_checkpoint

from relayrun_core.database import Database
from relayrun_core.db.finish import finish
from relayrun_core.db.journal import read_events
from relayrun_core.runs import Run
from relayrun_runner.attempt import writer as writer_module
from relayrun_runner.attempt.checkpoints import NULL_TASK_ID, FencedSaver
from relayrun_runner.attempt.writer import RunWriter
from relayrun_runner.process.metrics import RunnerMetrics
from tests.support.runs import DONE, accept, claimed, reread

INNER = "inner:0b6f9e0c"


@dataclass
class Attempt:
    """One attempt's way to the database."""

    run: Run
    saver: FencedSaver
    writer: RunWriter

    def config(self, ns: str, checkpoint: str | None = None) -> RunnableConfig:
        places = {"thread_id": str(self.run.thread_id), "checkpoint_ns": ns}
        return {"configurable": places | ({"checkpoint_id": checkpoint} if checkpoint else {})}

    async def checkpoint(
        self, ns: str = "", *, root: str | None = None, source: str = "loop", checkpoint: str | None = None
    ) -> str:
        """Save a checkpoint, of a subgraph under the root's `root`; its id is returned."""
        saved = empty_checkpoint()
        saved["id"] = checkpoint or saved["id"]
        metadata: CheckpointMetadata = {"source": source, "step": 1, "parents": {"": root} if root else {}}  # type: ignore[typeddict-item]
        await self.saver.aput(self.config(ns), saved, metadata, {})
        return saved["id"]

    async def writes(self, checkpoint: str, *channels: str, task: str = "task", ns: str = "") -> None:
        """Save a task's writes."""
        await self.saver.aput_writes(self.config(ns, checkpoint), [(channel, "x") for channel in channels], task)


@asynccontextmanager
async def attempt_of(database: Database, run: Run) -> AsyncIterator[Attempt]:
    """The attempt that has claimed the run, as its runner has it."""
    deadline = asyncio.get_running_loop().time() + 60
    writer = RunWriter(database, run, deadline, RunnerMetrics("default"), lambda *_: None)
    writing = asyncio.create_task(writer.run())

    async def nothing_to_wait_for() -> None:
        pass

    saver = FencedSaver(database, run, deadline, writer, nothing_to_wait_for)
    await saver.begin()
    try:
        yield Attempt(run, saver, writer)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


@dataclass
class Going:
    """An attempt on a thread that has a root checkpoint and a subgraph's, each with a task that succeeded."""

    attempt: Attempt
    root: str
    inner: str


@pytest.fixture(params=["the second attempt", "the first attempt of the next run"])
async def going(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Going]:
    run = await claimed(database, await accept(database))
    async with attempt_of(database, run) as attempt:
        root, inner = await begun(attempt)
    if request.param == "the second attempt":
        run = await claimed(database, run, attempt=2, excused=True)
    else:
        await finish(database, run.run_id, 1, DONE)
        run = await claimed(database, await accept(database, thread=run.thread_id))
    async with attempt_of(database, run) as attempt:
        yield Going(attempt, root, inner)


async def gained(database: Database, attempt: Attempt, write: Awaitable[object]) -> int:
    before = (await reread(database, attempt.run.run_id)).progress
    await write
    return (await reread(database, attempt.run.run_id)).progress - before


Write = Callable[[Attempt, str, str], Awaitable[object]]

COUNTS: dict[str, Write] = {
    "a checkpoint of the root": lambda a, root, inner: a.checkpoint(),
    "a checkpoint of the input": lambda a, root, inner: a.checkpoint(source="input"),
    "a checkpoint of a subgraph": lambda a, root, inner: a.checkpoint(INNER, root=root),
    "a checkpoint of a subgraph that is new": lambda a, root, inner: a.checkpoint("other:1", root=root),
    "a task's writes": lambda a, root, inner: a.writes(root, "done", "branch:to:next"),
    "a task's writes in a subgraph": lambda a, root, inner: a.writes(inner, "done", ns=INNER),
    "a task that succeeded without writes": lambda a, root, inner: a.writes(root, "__no_writes__"),
    "a task that returned": lambda a, root, inner: a.writes(root, "__return__"),
    "a task that succeeded with an answer": lambda a, root, inner: a.writes(root, "__resume__", "done"),
}
COUNTS_NOT: dict[str, Write] = {
    "a state that the author's code edits": lambda a, root, inner: a.checkpoint(source="update"),
    "a subgraph of a root that is not there": lambda a, root, inner: a.checkpoint("other:1", root=str(uuid4())),
    "a task that is there": lambda a, root, inner: a.writes(root, "done", task="before"),
    "a task that is there, in a subgraph": lambda a, root, inner: a.writes(inner, "done", task="before", ns=INNER),
    "a task of a checkpoint that is not there": lambda a, root, inner: a.writes(str(uuid4()), "done"),
    "an error": lambda a, root, inner: a.writes(root, "__error__"),
    "an error in a subgraph": lambda a, root, inner: a.writes(inner, "__error__", ns=INNER),
    "an error behind writes": lambda a, root, inner: a.writes(root, "done", "__error__"),
    "an error that a handler is for": lambda a, root, inner: a.writes(root, "__error__", "__error_source_node__"),
    "a question": lambda a, root, inner: a.writes(root, "__interrupt__"),
    "a question behind an answer": lambda a, root, inner: a.writes(root, "__interrupt__", "__resume__"),
    "an answer": lambda a, root, inner: a.writes(root, "__resume__"),
    "an answer for all": lambda a, root, inner: a.writes(root, "__resume__", task=NULL_TASK_ID),
    "a scheduled task": lambda a, root, inner: a.writes(root, "__scheduled__"),
    "a command's update": lambda a, root, inner: a.writes(root, "done", task=NULL_TASK_ID),
    "an event": lambda a, root, inner: told(a),
}


async def told(attempt: Attempt) -> None:
    await attempt.writer.emit("custom", b"1")
    await attempt.writer.flushed()


async def begun(attempt: Attempt) -> tuple[str, str]:
    """A root checkpoint and a subgraph's, each with a task that succeeded."""
    root = await attempt.checkpoint()
    inner = await attempt.checkpoint(INNER, root=root)
    await attempt.writes(root, "done", task="before")
    await attempt.writes(inner, "done", task="before", ns=INNER)
    return root, inner


@pytest.mark.parametrize("what", COUNTS)
async def test_this_is_progress(database: Database, going: Going, what: str) -> None:
    assert await gained(database, going.attempt, COUNTS[what](going.attempt, going.root, going.inner)) == 1


@pytest.mark.parametrize("what", COUNTS_NOT)
async def test_this_is_no_progress(database: Database, going: Going, what: str) -> None:
    assert await gained(database, going.attempt, COUNTS_NOT[what](going.attempt, going.root, going.inner)) == 0


async def test_a_checkpoint_that_is_saved_again_is_no_progress(database: Database, going: Going) -> None:
    attempt = going.attempt
    root = await attempt.checkpoint()
    assert await gained(database, attempt, attempt.checkpoint(checkpoint=root)) == 0
    inner = await attempt.checkpoint(INNER, root=root)
    assert await gained(database, attempt, attempt.checkpoint(INNER, root=root, checkpoint=inner)) == 0


async def test_what_fails_beside_what_succeeds_counts_not(database: Database, going: Going) -> None:
    attempt = going.attempt
    both = asyncio.gather(
        attempt.writes(going.root, "done", "more", task="one"), attempt.writes(going.root, "__error__", task="two")
    )
    assert await gained(database, attempt, both) == 1


async def test_work_that_an_attempt_only_does_anew_under_other_names_is_no_progress(database: Database) -> None:
    """As that of a subgraph from which nobody can go on: each attempt begins it from the start."""
    run = await claimed(database, await accept(database))
    async with attempt_of(database, run) as attempt:
        root, inner = await begun(attempt)
    progressed = []
    for number, steps in ((2, 2), (3, 2), (4, 1), (5, 3), (6, 3)):
        run = await claimed(database, run, attempt=number, excused=True)
        before = run.progress
        async with attempt_of(database, run) as attempt:
            for _ in range(steps):
                await attempt.checkpoint(f"anew:{number}", root=root)
        progressed.append((await reread(database, run.run_id)).progress > before)
    assert progressed == [True, False, False, True, False], "only who gets further than all before is further"

    run = await claimed(database, run, attempt=7, excused=True)
    async with attempt_of(database, run) as attempt:
        assert await gained(database, attempt, attempt.checkpoint("anew:7", root=root)) == 0
        assert await gained(database, attempt, attempt.checkpoint(INNER, root=root)) == 1, "it goes on from there"
        assert await gained(database, attempt, attempt.writes(inner, "done", task="later", ns=INNER)) == 1
        assert await gained(database, attempt, attempt.checkpoint()) == 1
        assert await gained(database, attempt, attempt.checkpoint("more:7", root=root)) == 1, "the root has advanced"


async def test_statements_of_another_version_of_the_saver_count_by_their_new_rows(
    database: Database, going: Going, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "are_known", lambda _: False)
    for what in ("a checkpoint of the root", "a task's writes", "a task's writes in a subgraph"):
        assert await gained(database, going.attempt, COUNTS[what](going.attempt, going.root, going.inner)) > 0, what
    for what in ("a task that is there", "a question", "a command's update"):
        written = COUNTS_NOT[what](going.attempt, going.root, going.inner)
        assert await gained(database, going.attempt, written) == 0, what
    assert await gained(database, going.attempt, going.attempt.writes(going.root, "__error__", task="failed")) == 0


async def test_an_update_is_not_told_before_its_task_s_writes_also_where_the_loop_is_held_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This test may be held up itself.
    monkeypatch.setattr(writer_module, "_WRITES_ARRIVE_SECONDS", 10 * writer_module._WRITES_ARRIVE_SECONDS)
    run = await claimed(database, await accept(database), announce=True)
    async with attempt_of(database, run) as attempt:
        with attempt.writer.expecting_writes():
            await attempt.writer.emit("updates", b"{}")
            await asyncio.sleep(0)  # the writer begins to wait
            time.sleep(1)  # as on a busy machine
            for _ in range(5):
                assert [event.event for event in await read_events(database, run.run_id, -1)] == ["metadata"]
            await attempt.writer.commit([], lingers=True)
        assert [event.event for event in await read_events(database, run.run_id, -1)] == ["metadata", "updates"]


async def test_writes_that_fail_to_come_hold_no_event_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_WRITES_ARRIVE_SECONDS", 3600)
    run = await claimed(database, await accept(database), announce=True)
    async with attempt_of(database, run) as attempt:
        with suppress(ValueError), attempt.writer.expecting_writes():
            await attempt.writer.emit("updates", b"{}")
            raise ValueError
        await attempt.writer.flushed()
