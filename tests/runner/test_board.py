"""The board: slots, states, what is told to whom, and what is forgotten."""

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
from relayrun_runner.runs.board import KEEP_SECONDS, Reservation, RunBoard
from relayrun_runner.runs.entries import Entry
from relayrun_runner.runs.watching import Face, Watching

DONE = Outcome(Reason.SUCCEEDED)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_board(slots: int = 2, clock: Clock | None = None) -> RunBoard:
    return RunBoard(slots, RunnerMetrics("tests"), clock=clock or Clock())


def make_run(*, attempt: int = 1, suspect: bool = False) -> Run:
    return Run(
        run_id=uuid4(), seq=1, thread_id=uuid4(), number=1, owner=None, agent="a", graph="g", assistant_id=None,
        status=RunStatus.RUNNING, reason=None, message=None, spec=RunSpec(), attempt=attempt, holder=None, runner=None,
        base=None, progress=0, failed_attempts=0, suspect=suspect, not_before=None, cancel_requested_at=None,
        cancel_action=None, error=None, checkpoint_id=None,
        created_at=NOW, updated_at=NOW, started_at=None, finished_at=None,
    )  # fmt: skip


def start(board: RunBoard, run: Run) -> Run:
    assert board.reserve(run.run_id, run.attempt) is Reservation.RESERVED
    board.started(run)
    return run


def states(board: RunBoard) -> dict[tuple[UUID, int], AttemptState]:
    return {(entry.run_id, entry.attempt): entry.state for entry in board.snapshot()}


def test_a_slot_is_taken_from_the_reservation_to_the_end() -> None:
    board = make_board(slots=2)
    first, second = make_run(), make_run()
    start(board, first)
    assert board.reserve(second.run_id, 1) is Reservation.RESERVED
    assert board.reserve(uuid4(), 1) is Reservation.FULL
    assert states(board) == {(first.run_id, 1): AttemptState.RUNNING}  # a reservation is nobody's business yet
    board.unreserve(second.run_id, 1)
    assert board.reserve(second.run_id, 1) is Reservation.RESERVED
    board.finished(first.run_id, 1, DONE)
    assert board.reserve(uuid4(), 1) is Reservation.RESERVED


def test_an_attempt_that_is_here_is_known_and_another_attempt_is_not() -> None:
    board = make_board(slots=3)
    run = start(board, make_run())
    assert board.reserve(run.run_id, 1) is Reservation.KNOWN
    assert board.reserve(run.run_id, 2) is Reservation.RESERVED
    board.unreserve(run.run_id, 1)  # too late: it has started
    assert board.get(run.run_id, 1) is not None
    board.finished(run.run_id, 1, DONE)
    assert board.reserve(run.run_id, 1) is Reservation.KNOWN


def test_a_suspect_has_the_runner_for_itself() -> None:
    board = make_board(slots=3)
    suspect = start(board, make_run(suspect=True))
    assert board.reserve(uuid4(), 1) is Reservation.FULL
    assert board.is_alone(suspect.run_id)
    board.abandoned(suspect.run_id, 1)
    other = start(board, make_run())
    assert not board.is_alone(suspect.run_id)
    assert board.is_alone(other.run_id)


def test_a_run_to_be_alone_waits_for_an_empty_runner_and_keeps_others_out() -> None:
    board = make_board(slots=3)
    other = start(board, make_run())
    suspect = uuid4()
    assert board.reserve(suspect, 1, alone=True) is Reservation.FULL
    board.finished(other.run_id, 1, DONE)
    assert board.reserve(suspect, 1, alone=True) is Reservation.RESERVED
    assert board.reserve(uuid4(), 1) is Reservation.FULL


def test_a_draining_board_takes_nothing_and_lets_the_rest_end() -> None:
    board = make_board()
    run = start(board, make_run())
    board.start_draining()
    assert board.reserve(uuid4(), 1) is Reservation.DRAINING
    board.drained(run.run_id, 1)
    assert (board.active, states(board)) == (0, {(run.run_id, 1): AttemptState.DRAINED})


def test_the_first_end_counts_and_an_unknown_run_ends_nothing() -> None:
    board = make_board()
    run = start(board, make_run())
    board.cancelling(run.run_id, 1)
    assert states(board) == {(run.run_id, 1): AttemptState.CANCELLING}
    board.finished(run.run_id, 1, Outcome(Reason.CANCELLED))
    board.abandoned(run.run_id, 1)
    board.cancelling(run.run_id, 1)
    board.drained(uuid4(), 1)
    [entry] = board.snapshot()
    assert (entry.state, entry.status, entry.reason) == (AttemptState.FINISHED, "cancelled", "Cancelled")


def test_ended_runs_are_forgotten_after_ten_minutes_and_running_ones_never() -> None:
    clock = Clock()
    board = make_board(clock=clock)
    ended, running = start(board, make_run()), start(board, make_run())
    board.finished(ended.run_id, 1, DONE)
    clock.now += KEEP_SECONDS
    assert (ended.run_id, 1) in states(board)
    clock.now += 1
    assert states(board) == {(running.run_id, 1): AttemptState.RUNNING}


def test_watchers_hear_every_change_until_they_stop() -> None:
    board = make_board()
    heard: list[Entry | None] = []
    assert board.watch(heard.append) == []
    run = start(board, make_run())
    board.finished(run.run_id, 1, DONE)
    board.start_draining()
    board.unwatch(heard.append)
    assert [entry and entry.state for entry in heard] == [AttemptState.RUNNING, AttemptState.FINISHED, None]


async def test_a_slow_reader_gets_the_last_state_of_each_run_and_the_stream_ends_after_a_drain() -> None:
    board = make_board()
    face = Face("r", uuid4(), "b", "a")
    watching = Watching(face, board, lambda: 0.0, list)
    lines = watching.lines()
    await anext(lines)
    run = make_run()

    def elsewhere() -> None:
        start(board, run)
        board.start_draining()
        board.drained(run.run_id, 1)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    async with asyncio.timeout(60):
        rest = [line async for line in lines]
    assert sum(b'"Drained"' in line for line in rest) == 1
    assert not any(b'"Running"' in line for line in rest)
    assert watching.open_streams == 0


async def test_a_stream_does_not_end_between_a_runs_end_and_its_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relayrun_runner.runs.watching.HEARTBEAT_SECONDS", 0.02)
    board = make_board()
    run = start(board, make_run())
    ended, go_on = threading.Event(), threading.Event()

    def hold_up(entry: Entry | None) -> None:
        if entry is not None:
            ended.set()
            go_on.wait(5)

    board.watch(hold_up)  # told before the stream is
    lines = Watching(Face("r", uuid4(), "b", "a"), board, lambda: 0.0, list).lines()
    await anext(lines)
    board.start_draining()
    thread = threading.Thread(target=board.drained, args=(run.run_id, 1))
    thread.start()
    assert ended.wait(5)
    threading.Timer(0.3, go_on.set).start()
    async with asyncio.timeout(60):
        rest = [line async for line in lines]
    thread.join()
    assert any(b'"Drained"' in line for line in rest)


def test_a_later_attempt_does_not_hide_an_earlier_one() -> None:
    board = make_board()
    first = start(board, make_run())
    second = start(board, replace(first, attempt=2))
    assert [entry.attempt for entry in board.older(first.run_id, 2)] == [1]
    board.abandoned(first.run_id, 1)
    assert board.older(first.run_id, 2) == []
    assert states(board)[second.run_id, 2] is AttemptState.RUNNING
