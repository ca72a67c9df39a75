"""The machine's wall clock is set while runs execute and wait: it ends none of them, and keeps none waiting."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relayrun_operator.loop import decider
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.decider import Decider
from relayrun_operator.loop.workqueue import WorkQueue
from tests.operator.build import make_agent, make_held_run, make_run


class Told:
    """What the loop does with runs."""

    leads = True

    def __init__(self) -> None:
        self.finished: list[str] = []
        self.waiting: dict[str, float | None] = {}

    def agents(self) -> list[Any]:
        return [make_agent()]

    def finish(self, run: Any, decision: Any) -> None:
        self.finished.append(run.run_id)

    def report_wait(self, run: Any, decision: Any) -> None:
        self.waiting[run.run_id] = decision.until

    def report_round(self, seconds: float) -> None:
        pass


@pytest.mark.parametrize("hours", [-5, 5])
async def test_deadlines_and_pauses_are_as_far_away_as_before(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    clock = SimpleNamespace(monotonic=lambda: 1000.0, perf_counter=time.perf_counter, time=lambda: wall)
    monkeypatch.setattr(decider, "time", clock)
    wall = 1_800_000_000.0
    cache, told = Cache[Any](WorkQueue(lambda: None), lambda: 1000.0), Told()
    looking = Decider[Any](cache, cast("Any", told), cast("Any", told), asyncio.Event(), 10.0)
    runs = [
        make_held_run("executes", runner=None, active_deadline=wall + 60),
        make_run("waits", starting_deadline=wall + 60),
        make_run("pauses", not_before=wall + 60),
        make_run("over", starting_deadline=wall - 1),
    ]
    cache.runs.update({run.run_id: run for run in runs})
    wall += hours * 3600
    looking.decide()  # the clock is looked at before anything is decided
    cache.resync()
    looking.decide()
    assert told.finished == ["over"]
    assert told.waiting["pauses"] == wall + 60
