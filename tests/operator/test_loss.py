"""When a runner is given up: only for what it did, never for what we missed."""

from dataclasses import replace

import pytest

from relayrun_operator.engine import Liveness, Silences, TickClock, lost_runners, silent_runners, wants_look
from relayrun_operator.engine.loss import is_quiet
from tests.operator.build import NOW, make_runner


def run_ticks(clock: TickClock, *, seconds: float) -> TickClock:
    """A clock that went on ticking twice a second."""
    start = clock.ticked_at
    for n in range(1, int(seconds * 2) + 1):
        clock = clock.tick(start + n / 2)
    return clock


def liveness(clock: TickClock, looked_at: float = float("-inf")) -> Liveness:
    return Liveness(clock.ticked_at, clock, looked_at)


def test_a_runner_that_is_silent_for_ten_seconds_is_lost():
    runners = [make_runner("r1"), make_runner("r2", last_heard=NOW + 99), make_runner("r3", last_heard=NOW + 99)]
    almost = run_ticks(TickClock.start(NOW), seconds=9.5)
    assert lost_runners(runners, liveness(almost)) == set()
    assert lost_runners(runners, liveness(run_ticks(almost, seconds=1))) == {"r1"}


def test_how_long_a_silence_may_last_is_a_setting():
    others = [make_runner(name, last_heard=NOW + 99) for name in ("r2", "r3")]
    patient, hasty = (Liveness(NOW, TickClock.start(NOW), lost_after_seconds=seconds) for seconds in (20.0, 6.0))
    for given, almost in ((patient, 19.5), (hasty, 5.5)):
        clock = run_ticks(given.clock, seconds=almost)
        at = replace(given, now=clock.ticked_at, clock=clock)
        assert is_quiet(make_runner("r1"), at)
        assert lost_runners([make_runner("r1"), *others], at) == set()
        clock = run_ticks(clock, seconds=1)
        at = replace(given, now=clock.ticked_at, clock=clock)
        assert lost_runners([make_runner("r1"), *others], at) == {"r1"}
    assert not is_quiet(make_runner("r1"), replace(patient, now=NOW + 9))
    assert is_quiet(make_runner("r1"), replace(hasty, now=NOW + 3))


def test_an_engine_that_was_paused_for_thirty_seconds_declares_nobody_lost():
    runners = [make_runner(name) for name in ("r1", "r2", "r3")]
    clock = run_ticks(TickClock.start(NOW), seconds=5)
    resumed = clock.tick(NOW + 35)
    assert lost_runners(runners, liveness(resumed, looked_at=NOW + 35)) == set()
    later = run_ticks(resumed, seconds=9.5)
    assert lost_runners(runners, liveness(later, looked_at=NOW + 99)) == set()


def test_after_a_pause_real_silence_counts_again():
    heard = make_runner("r2", last_heard=NOW + 46), make_runner("r3", last_heard=NOW + 46)
    clock = run_ticks(TickClock.start(NOW).tick(NOW + 30), seconds=10.5)
    assert lost_runners([make_runner("r1"), *heard], liveness(clock)) == {"r1"}


@pytest.mark.parametrize(("late", "reset"), [(0.5, False), (2.4, False), (2.5, True), (30, True)])
def test_a_tick_two_seconds_late_resets_all_clocks(late: float, reset: bool):
    clock = TickClock.start(NOW).tick(NOW + late)
    assert clock.silence_began(NOW - 1) == (NOW + late if reset else NOW)


def test_most_streams_silent_at_once_needs_a_look_at_the_processes_first():
    runners = [make_runner("r1"), make_runner("r2"), make_runner("r3", last_heard=NOW + 99)]
    clock = run_ticks(TickClock.start(NOW), seconds=11)
    for not_looked in (liveness(clock), liveness(clock, looked_at=NOW + 9)):
        assert lost_runners(runners, not_looked) == set()
        assert wants_look(runners, not_looked)
    looked = liveness(clock, looked_at=NOW + 11)
    assert lost_runners(runners, looked) == {"r1", "r2"}
    assert not wants_look(runners, looked)


def test_a_process_that_is_gone_is_lost_at_once_whatever_the_clock_says():
    paused = TickClock.start(NOW).tick(NOW + 30)
    assert lost_runners([make_runner("r1", gone=True), make_runner("r2")], liveness(paused)) == {"r1"}


def test_a_debugged_runner_is_lost_only_when_its_process_is_gone():
    clock = run_ticks(TickClock.start(NOW), seconds=60)
    looked = liveness(clock, looked_at=NOW + 60)
    assert lost_runners([make_runner(debugged=True)], looked) == set()
    assert lost_runners([make_runner(debugged=True, gone=True)], looked) == {"r1"}


def test_a_runner_that_is_still_starting_is_not_silent():
    starting = [make_runner(name, holder=None, ready=False) for name in ("r1", "r2")]
    clock = run_ticks(TickClock.start(NOW), seconds=60)
    assert lost_runners(starting, liveness(clock)) == set()
    assert not wants_look(starting, liveness(clock))


def test_a_runner_that_stays_silent_for_a_minute_after_it_was_given_up_is_ended():
    others = [make_runner(name, last_heard=NOW + 99) for name in ("r2", "r3")]
    clock = run_ticks(TickClock.start(NOW), seconds=11)
    silences = Silences().update([make_runner("r1"), *others], liveness(clock))
    assert set(silences.since) == {"r1"}
    later = run_ticks(clock, seconds=59)
    silences = silences.update([make_runner("r1"), *others], liveness(later))
    assert silences.overdue(later.ticked_at) == set()
    assert silences.overdue(later.ticked_at + 1) == {"r1"}
    heard = make_runner("r1", last_heard=later.ticked_at)
    assert silences.update([heard, *others], liveness(later)) == Silences()


def test_a_runner_that_is_gone_is_lost_but_not_silent():
    clock = run_ticks(TickClock.start(NOW), seconds=11)
    runners = [make_runner("r1", gone=True), *(make_runner(name, last_heard=NOW + 99) for name in ("r2", "r3"))]
    assert lost_runners(runners, liveness(clock)) == {"r1"}
    assert silent_runners(runners, liveness(clock)) == set()


def test_a_runner_that_serves_but_never_answered_us_is_given_up_without_a_look():
    """As those on a node that was lost with the operator that had heard them: they do not start, they are silent."""
    runners = [make_runner(name, holder=None, ready=False, serving=True) for name in ("r1", "r2")]
    almost = run_ticks(TickClock.start(NOW), seconds=4.5)
    assert lost_runners(runners, liveness(almost)) == set()
    clock = run_ticks(almost, seconds=0.5)
    assert silent_runners(runners, liveness(clock)) == {"r1", "r2"}
    assert not wants_look(runners, liveness(clock))


def test_its_silence_counts_from_when_it_could_first_be_heard():
    late = make_runner("r1", holder=None, ready=False, serving=True, last_heard=NOW + 8)
    clock = run_ticks(TickClock.start(NOW), seconds=12.5)
    assert lost_runners([late], liveness(clock)) == set()
    assert lost_runners([late], liveness(run_ticks(clock, seconds=0.5))) == {"r1"}
