"""Ids of checkpoints that sort after all that their thread has, whatever the clock says."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base import id as ids
from langgraph.pregel._checkpoint import create_checkpoint

from relayrun_core.database import Database
from relayrun_runner.attempt import executor as execute
from relayrun_runner.attempt.clocks import make_ids_after, require_after
from relayrun_runner.errors import CheckpointOrder
from tests.support.runs import accept, claimed

HOUR = timedelta(hours=1).total_seconds()
CENTURIES = timedelta(days=365 * 300).total_seconds()


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """LangGraph has made no id in this process; what it makes now is forgotten afterwards."""
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)


def id_made_in(seconds: float) -> str:
    """An id as LangGraph makes it at a time in the future, or the past."""
    ticks = int((time.time() + seconds) * 10_000_000) + 0x01B21DD213814000
    return str(UUID(int=ticks >> 12 << 80 | 6 << 76 | (ticks & 0xFFF) << 64 | 0xBFFE << 48))


def new_ids() -> Iterator[str]:
    """Ids of the checkpoints that LangGraph makes, both kinds."""
    first = empty_checkpoint()
    yield first["id"]
    for step in range(-1, 20):
        yield create_checkpoint(first, None, step)["id"]


@pytest.mark.parametrize("seconds", [-HOUR, 0.05, HOUR, 50 * 365 * 24 * HOUR])
def test_ids_sort_after_a_head_of_another_clock_and_in_the_order_they_are_made(seconds: float) -> None:
    head = id_made_in(seconds)
    make_ids_after(head)
    made = [head, *new_ids()]
    assert made == sorted(set(made))
    for checkpoint_id in made[1:]:
        require_after(checkpoint_id, head)


def test_how_far_ids_run_ahead_is_told() -> None:
    assert make_ids_after(None) == 0
    assert make_ids_after(id_made_in(-HOUR)) == 0
    assert make_ids_after(id_made_in(HOUR)) == pytest.approx(HOUR, abs=5)
    assert make_ids_after(id_made_in(-HOUR)) == pytest.approx(HOUR, abs=5), "ids never go back"


def test_an_hour_is_logged_once_and_milliseconds_are_not(caplog: pytest.LogCaptureFixture) -> None:
    make_ids_after(id_made_in(0.05))
    assert not caplog.records
    make_ids_after(id_made_in(HOUR))
    make_ids_after(next(new_ids()))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_ids_of_all_threads_of_the_process_sort_after_a_head_that_one_of_them_met() -> None:
    met, enough = threading.Event(), threading.Event()
    heads: list[str] = []
    late: list[str] = []

    def make() -> None:
        while not enough.is_set():
            told = met.is_set()
            made = list(new_ids())
            if told:
                late.extend(made)

    makers = [threading.Thread(target=make) for _ in range(4)]
    for maker in makers:
        maker.start()
    for hours in range(1, 200):
        heads.append(id_made_in(hours * HOUR))
        make_ids_after(heads[-1])
        require_after(next(new_ids()), heads[-1])
    met.set()
    while len(late) < 1000:
        time.sleep(0)  # the others' turn
    enough.set()
    for maker in makers:
        maker.join()
    assert min(late) > heads[-1]


@pytest.mark.parametrize("broken", ["2024-05-04T06:32:42.235444+00:00", "ffffffff-ffff-6fff-bfff-ffffffffffff"])
def test_what_no_id_can_sort_after_is_refused_and_harms_no_other_thread(broken: str) -> None:
    assert make_ids_after(broken) == 0
    checkpoint_id = next(new_ids())
    with pytest.raises(CheckpointOrder, match=broken[:8]):
        require_after(checkpoint_id, broken)
    require_after(checkpoint_id, id_made_in(-HOUR))


def test_an_id_centuries_ahead_is_not_believed() -> None:
    assert make_ids_after(id_made_in(CENTURIES)) == 0
    assert next(new_ids()) < id_made_in(HOUR)


@pytest.mark.parametrize("ahead", [timedelta(days=-1), timedelta(), timedelta(days=1)])
async def test_what_is_left_of_a_runs_time_is_counted_by_the_databases_clock_alone(
    database: Database, ahead: timedelta
) -> None:
    run = await claimed(database, await accept(database, active_deadline_seconds=3600))
    await database.execute("UPDATE runs SET started_at = now() - interval '10 minutes'")
    run = await claimed(database, run, attempt=2, excused=True)
    assert run.started_at is not None
    run = replace(run, started_at=run.started_at + ahead, updated_at=run.updated_at + ahead)
    left = execute._deadline(run) - asyncio.get_running_loop().time()
    assert left == pytest.approx(3000, abs=5)
