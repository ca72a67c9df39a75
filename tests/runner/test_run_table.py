"""The table: slots, states, what is told to whom, and what is forgotten."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from relayrun_core.runner_protocol import AttemptState
from relayrun_core.runs import Outcome, Run, RunSpec
from relayrun_core.states import Reason, RunStatus
from relayrun_runner.process.metrics import RunnerMetrics
from relayrun_runner.runs.entries import Entry
from relayrun_runner.runs.table import KEEP_SECONDS, Reservation, RunTable
from relayrun_runner.runs.watch import RunnerIdentity, WatchStreams

DONE = Outcome(Reason.SUCCEEDED)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_table(slots: int = 2, clock: Clock | None = None) -> RunTable:
    return RunTable(slots, RunnerMetrics("tests"), clock=clock or Clock())


def make_run(*, attempt: int = 1, suspect: bool = False) -> Run:
    return Run(
        run_id=uuid4(), seq=1, thread_id=uuid4(), number=1, owner=None, agent="a", graph="g", assistant_id=None,
        status=RunStatus.RUNNING, reason=None, message=None, spec=RunSpec(), attempt=attempt, holder=None, runner=None,
        base=None, progress=0, failed_attempts=0, suspect=suspect, not_before=None, cancel_requested_at=None,
        cancel_action=None, error=None, checkpoint_id=None,
        created_at=NOW, updated_at=NOW, started_at=None, finished_at=None,
    )  # fmt: skip


def start(table: RunTable, run: Run) -> Run:
    assert table.reserve(run.run_id, run.attempt) is Reservation.RESERVED
    table.started(run)
    return run


def states(table: RunTable) -> dict[tuple[UUID, int], AttemptState]:
    return {(entry.run_id, entry.attempt): entry.state for entry in table.snapshot()}


def test_a_slot_is_taken_from_the_reservation_to_the_end() -> None:
    table = make_table(slots=2)
    first, second = make_run(), make_run()
    start(table, first)
    assert table.reserve(second.run_id, 1) is Reservation.RESERVED
    assert table.reserve(uuid4(), 1) is Reservation.FULL
    assert states(table) == {(first.run_id, 1): AttemptState.RUNNING}  # a reservation is nobody's business yet
    table.unreserve(second.run_id, 1)
    assert table.reserve(second.run_id, 1) is Reservation.RESERVED
    table.finished(first.run_id, 1, DONE)
    assert table.reserve(uuid4(), 1) is Reservation.RESERVED


def test_an_attempt_that_is_here_is_known_and_another_attempt_is_not() -> None:
    table = make_table(slots=3)
    run = start(table, make_run())
    assert table.reserve(run.run_id, 1) is Reservation.KNOWN
    assert table.reserve(run.run_id, 2) is Reservation.RESERVED
    table.unreserve(run.run_id, 1)  # too late: it has started
    assert table.get(run.run_id, 1) is not None
    table.finished(run.run_id, 1, DONE)
    assert table.reserve(run.run_id, 1) is Reservation.KNOWN


def test_a_suspect_has_the_runner_for_itself() -> None:
    table = make_table(slots=3)
    suspect = start(table, make_run(suspect=True))
    assert table.reserve(uuid4(), 1) is Reservation.FULL
    assert table.is_alone(suspect.run_id)
    table.abandoned(suspect.run_id, 1)
    other = start(table, make_run())
    assert not table.is_alone(suspect.run_id)
    assert table.is_alone(other.run_id)


def test_a_run_to_be_alone_waits_for_an_empty_runner_and_keeps_others_out() -> None:
    table = make_table(slots=3)
    other = start(table, make_run())
    suspect = uuid4()
    assert table.reserve(suspect, 1, alone=True) is Reservation.FULL
    table.finished(other.run_id, 1, DONE)
    assert table.reserve(suspect, 1, alone=True) is Reservation.RESERVED
    assert table.reserve(uuid4(), 1) is Reservation.FULL


def test_a_draining_board_takes_nothing_and_lets_the_rest_end() -> None:
    table = make_table()
    run = start(table, make_run())
    table.start_draining()
    assert table.reserve(uuid4(), 1) is Reservation.DRAINING
    table.drained(run.run_id, 1)
    assert (table.active, states(table)) == (0, {(run.run_id, 1): AttemptState.DRAINED})


def test_the_first_end_counts_and_an_unknown_run_ends_nothing() -> None:
    table = make_table()
    run = start(table, make_run())
    table.cancelling(run.run_id, 1)
    assert states(table) == {(run.run_id, 1): AttemptState.CANCELLING}
    table.finished(run.run_id, 1, Outcome(Reason.CANCELLED))
    table.abandoned(run.run_id, 1)
    table.cancelling(run.run_id, 1)
    table.drained(uuid4(), 1)
    [entry] = table.snapshot()
    assert (entry.state, entry.status, entry.reason) == (AttemptState.FINISHED, "cancelled", "Cancelled")


def test_ended_runs_are_forgotten_after_ten_minutes_and_running_ones_never() -> None:
    clock = Clock()
    table = make_table(clock=clock)
    ended, running = start(table, make_run()), start(table, make_run())
    table.finished(ended.run_id, 1, DONE)
    clock.now += KEEP_SECONDS
    assert (ended.run_id, 1) in states(table)
    clock.now += 1
    assert states(table) == {(running.run_id, 1): AttemptState.RUNNING}


def test_watchers_hear_every_change_until_they_stop() -> None:
    table = make_table()
    heard: list[Entry | None] = []
    assert table.watch(heard.append) == []
    run = start(table, make_run())
    table.finished(run.run_id, 1, DONE)
    table.start_draining()
    table.unwatch(heard.append)
    assert [entry and entry.state for entry in heard] == [AttemptState.RUNNING, AttemptState.FINISHED, None]


async def test_a_slow_reader_gets_the_last_state_of_each_run_and_the_stream_ends_after_a_drain() -> None:
    table = make_table()
    identity = RunnerIdentity("r", uuid4(), "b", "a")
    watching = WatchStreams(identity, table, lambda: 0.0, list)
    lines = watching.lines()
    await anext(lines)
    run = make_run()

    def elsewhere() -> None:
        start(table, run)
        table.start_draining()
        table.drained(run.run_id, 1)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    async with asyncio.timeout(60):
        rest = [line async for line in lines]
    assert sum(b'"Drained"' in line for line in rest) == 1
    assert not any(b'"Running"' in line for line in rest)
    assert watching.open_streams == 0


async def test_a_stream_does_not_end_between_a_runs_end_and_its_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relayrun_runner.runs.watch.HEARTBEAT_SECONDS", 0.02)
    table = make_table()
    run = start(table, make_run())
    ended, go_on = threading.Event(), threading.Event()

    def hold_up(entry: Entry | None) -> None:
        if entry is not None:
            ended.set()
            go_on.wait(5)

    table.watch(hold_up)  # told before the stream is
    lines = WatchStreams(RunnerIdentity("r", uuid4(), "b", "a"), table, lambda: 0.0, list).lines()
    await anext(lines)
    table.start_draining()
    thread = threading.Thread(target=table.drained, args=(run.run_id, 1))
    thread.start()
    assert ended.wait(5)
    threading.Timer(0.3, go_on.set).start()
    async with asyncio.timeout(60):
        rest = [line async for line in lines]
    thread.join()
    assert any(b'"Drained"' in line for line in rest)


def test_a_later_attempt_does_not_hide_an_earlier_one() -> None:
    table = make_table()
    first = start(table, make_run())
    second = start(table, replace(first, attempt=2))
    assert [entry.attempt for entry in table.older(first.run_id, 2)] == [1]
    table.abandoned(first.run_id, 1)
    assert table.older(first.run_id, 2) == []
    assert states(table)[second.run_id, 2] is AttemptState.RUNNING
