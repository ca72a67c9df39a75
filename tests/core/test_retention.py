"""What is kept for a while only: journals by the end of their runs, in small steps and by one process at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from relayrun_core.database import Database
from relayrun_core.db import retention
from relayrun_core.db.agents import NewGraph, list_graphs, register_graphs
from relayrun_core.db.finish import finish
from relayrun_core.db.journal import Event, append, first_seq, read_events
from relayrun_core.db.retention import forget_old_builds, forget_old_events
from relayrun_core.db.runs import get_run
from relayrun_core.runs import Run
from tests.support.runs import DONE, accept, claimed

DAY = timedelta(days=1)


async def told(database: Database, *, events: int = 1, hours_ago: float | None = None) -> Run:
    """A run with a journal, running or ended so long ago. With its end it has an event more."""
    run = await claimed(database, await accept(database))
    async with database.connection() as conn:
        await append(conn, run.run_id, 1, [Event(first_seq(1) + n, "updates", b"{}") for n in range(events)])
    if hours_ago is not None:
        await finish(database, run.run_id, 1, DONE)
        ago = timedelta(hours=hours_ago)
        await database.execute("UPDATE runs SET finished_at = now() - %s WHERE run_id = %s", (ago, run.run_id))
    return run


async def events_of(database: Database, *runs: Run) -> list[int]:
    return [len(await read_events(database, run.run_id, -1, limit=10_000)) for run in runs]


async def test_journals_go_by_the_time_of_their_runs_end_and_the_runs_stay(database: Database) -> None:
    over, also_over = await told(database, hours_ago=25), await told(database, hours_ago=100)
    soon, running = await told(database, hours_ago=23), await told(database)
    assert await forget_old_events(database, DAY) == 4
    assert await events_of(database, over, also_over, soon, running) == [0, 0, 2, 1]
    assert await get_run(database, over.run_id) is not None
    later = await told(database, hours_ago=24.5)  # it ended after those, and it has expired now
    assert await forget_old_events(database, DAY) == 2
    assert await events_of(database, later, soon, running) == [0, 2, 1]
    assert await forget_old_events(database, DAY) == 0


async def test_a_run_that_ended_just_now_keeps_its_journal_whatever_the_setting(database: Database) -> None:
    run = await told(database, hours_ago=0)
    assert await forget_old_events(database, timedelta(0)) == 0
    assert await events_of(database, run) == [2]


async def test_long_journals_and_many_go_in_small_steps(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_PAUSE_SECONDS", 0)
    long = await told(database, events=2 * retention._MOST_EVENTS, hours_ago=30)
    await database.execute(
        """INSERT INTO runs (run_id, thread_id, number, agent, graph, spec, status, finished_at)
        SELECT gen_random_uuid(), thread_id, n + 1, agent, graph, spec, 'success', finished_at
        FROM runs, generate_series(1, %s) AS n WHERE run_id = %s""",
        (2 * retention._MOST_RUNS, long.run_id),
    )
    await database.execute(
        """INSERT INTO run_events (run_id, seq, event, data) SELECT run_id, 1, 'x', '{}' FROM runs
        ON CONFLICT DO NOTHING"""
    )
    many = (await database.fetch_all("SELECT count(*) AS count FROM run_events"))[0]["count"]
    first = await retention._forget_some(database, DAY)
    assert first == retention._MOST_EVENTS
    assert await forget_old_events(database, DAY) == many - first
    assert await database.fetch_all("SELECT 1 FROM run_events") == []


async def test_one_process_at_a_time_removes_them(database: Database) -> None:
    run = await told(database, hours_ago=25)
    async with database.connection() as other, other.transaction():
        await other.execute("SELECT 1 FROM tidied FOR UPDATE")
        assert await forget_old_events(database, DAY) == 0
    assert await events_of(database, run) == [2]
    assert await forget_old_events(database, DAY) == 2


async def test_what_old_builds_offered_goes_and_the_newest_stays(database: Database) -> None:
    for agent, build, days in (("a", "1", 9), ("a", "2", 8), ("b", "1", 30), ("a", "old", 3), ("c", "1", 0)):
        await register_graphs(database, [NewGraph("g", {}, {})], agent=agent, build=build)
        await database.execute(
            "UPDATE graphs SET registered_at = now() - %s WHERE agent = %s AND build = %s",
            (timedelta(days=days), agent, build),
        )
    await register_graphs(database, [NewGraph("g", {}, {})], agent="a", build="3")
    offered = await list_graphs(database)
    assert await forget_old_builds(database, timedelta(days=7)) == 2
    left = await database.fetch_all("SELECT agent, build FROM graphs ORDER BY agent, build")
    assert [(row["agent"], row["build"]) for row in left] == [("a", "3"), ("a", "old"), ("b", "1"), ("c", "1")]
    assert await list_graphs(database) == offered
