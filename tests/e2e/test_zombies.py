"""Runners that were frozen and come back: another attempt has their run, and they can write nothing."""

from signal import SIGCONT
from typing import Any
from uuid import UUID

import pytest

from relayrun_core.runs import Run
from relayrun_core.states import Reason
from tests.support.crash import Crash, whole
from tests.support.waiting import until, until_it_is

pytestmark = pytest.mark.crash

TABLES = {
    "checkpoints": "SELECT * FROM checkpoints WHERE thread_id = %(thread)s::text",
    "checkpoint_writes": "SELECT * FROM checkpoint_writes WHERE thread_id = %(thread)s::text",
    "checkpoint_blobs": "SELECT * FROM checkpoint_blobs WHERE thread_id = %(thread)s::text",
    "threads": "SELECT * FROM threads WHERE thread_id = %(thread)s",
    "runs": "SELECT * FROM runs WHERE run_id = %(run)s",
    "run_events": "SELECT * FROM run_events WHERE run_id = %(run)s",
    "run_attempts": "SELECT * FROM run_attempts WHERE run_id = %(run)s",
}

LOCKS = """
SELECT count(*) AS held FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND granted AND datname = current_database()"""


async def everything(crash: Crash, run: Run) -> dict[str, set[str]]:
    """All rows of the run and its thread."""
    params: dict[str, UUID] = {"thread": run.thread_id, "run": run.run_id}
    rows = {name: await crash.database.fetch_all(query, params) for name, query in TABLES.items()}
    return {name: {repr(row) for row in found} for name, found in rows.items()}


def tries(crash: Crash, run: Run, attempt: int) -> int:
    return sum(note.what == "tried" and note.attempt == attempt for note in crash.notes(run))


async def test_a_runner_frozen_in_a_step_writes_nothing_when_it_wakes_up(crash: Crash) -> None:
    run = await crash.accept("line")
    crash.hold(run, "b")
    zombie = await crash.start(run)
    await crash.until_in(run, "b")
    await zombie.freeze()
    crash.let_go(run, "b")
    ended = await crash.finish(run)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    before, tried = await everything(crash, run), tries(crash, run, 1)
    zombie.signal(SIGCONT)
    await zombie.reported(run.run_id, 1, "Abandoned")
    assert tries(crash, run, 1) > tried, "the zombie did not even try"
    assert await everything(crash, run) == before
    assert "c" not in crash.begun(run)[crash.begun(run).index("d") :], "the zombie went on to the next step"
    whole(await crash.journal(run), attempts=2)


async def test_a_runner_frozen_in_a_step_does_not_stop_the_attempt_that_still_runs(crash: Crash) -> None:
    run = await crash.accept("line")
    crash.hold(run, "b")
    zombie = await crash.start(run)
    await crash.until_in(run, "b")
    await zombie.freeze()
    crash.hold(run, "c")
    crash.let_go(run, "b")
    successor = await crash.start(run, attempt=2)
    await crash.until_in(run, "c")
    zombie.signal(SIGCONT)
    await zombie.reported(run.run_id, 1, "Abandoned")
    crash.let_go(run, "c")
    ended = await crash.finish(run, successor)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    assert crash.begun(run) == ["a", "b", "b", "c", "d"]
    whole(await crash.journal(run), attempts=2)


@pytest.mark.parametrize("nth", [1, 4])
async def test_a_runner_frozen_between_fence_and_commit_neither_blocks_its_successor_nor_writes(
    crash: Crash, nth: int
) -> None:
    run = await crash.accept("line")
    crash.bomb(run, "between-fence-and-commit", nth=nth, signal="SIGSTOP")
    zombie = await crash.start(run)
    await until(lambda: zombie.frozen)
    await until_it_is(lambda: holds_a_lock(crash))  # the server may still be at work on its statement
    ended = await crash.finish(run)
    assert ended.reason is Reason.SUCCEEDED
    before = await everything(crash, run)
    zombie.signal(SIGCONT)
    await zombie.reported(run.run_id, 1, "Abandoned")
    assert await everything(crash, run) == before
    crash.nothing_repeated(run)
    whole(await crash.journal(run), attempts=ended.attempt)


async def test_a_runner_frozen_while_its_write_waits_in_the_server_does_not_block_its_successor(crash: Crash) -> None:
    run = await crash.accept("line")
    crash.hold(run, "b")
    zombie = await crash.start(run)
    await crash.until_in(run, "b")
    async with crash.database.connection() as conn, conn.transaction():
        await conn.execute("LOCK TABLE checkpoint_writes IN SHARE MODE")
        crash.let_go(run, "b")
        await until_it_is(lambda: holds_a_lock(crash))
        await zombie.freeze()
        successor = await crash.start(run, attempt=2)
    ended = await crash.finish(run, successor)
    assert (ended.reason, ended.attempt) == (Reason.SUCCEEDED, 2)
    before = await everything(crash, run)
    zombie.signal(SIGCONT)
    await zombie.reported(run.run_id, 1, "Abandoned")
    assert await everything(crash, run) == before
    assert crash.begun(run) == ["a", "b", "b", "c", "d"]
    whole(await crash.journal(run), attempts=2)


async def test_a_zombie_takes_the_next_run_once_it_is_awake(crash: Crash) -> None:
    run = await crash.accept("line")
    crash.bomb(run, "between-fence-and-commit", nth=2, signal="SIGSTOP")
    zombie = await crash.start(run)
    await until(lambda: zombie.frozen)
    assert (await crash.finish(run)).reason is Reason.SUCCEEDED
    zombie.signal(SIGCONT)
    await zombie.reported(run.run_id, 1, "Abandoned")
    other = await crash.accept("line")
    await crash.start(other, zombie)
    assert (await crash.finish(other, zombie)).attempt == 1


async def holds_a_lock(crash: Crash) -> bool:
    row: dict[str, Any] | None = await crash.database.fetch_one(LOCKS)
    return row is not None and row["held"] > 0
