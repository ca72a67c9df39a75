"""When what has ended is started again, as a table, and what holds for every history."""

import signal
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relayrun_core.process.restarts import BURST, LONGEST_BACK_OFF_SECONDS, PER_SECOND, Restarts, killed_from_outside

NOW = 1_000.0
KILLED = -signal.SIGKILL


def after(*ends, restarts=None):
    """The state after ends at NOW: (exit code, whether it was ready)."""
    restarts = restarts or Restarts()
    for code, was_ready in ends:
        restarts = restarts.ended(code, was_ready=was_ready, started_at=NOW - 1, now=NOW)
    return restarts


@pytest.mark.parametrize(
    ("code", "outside"),
    [
        (-signal.SIGKILL, True),
        (-signal.SIGTERM, True),
        (-signal.SIGINT, True),
        (-signal.SIGSEGV, False),
        (-signal.SIGABRT, False),
        (-signal.SIGBUS, False),
        (0, False),
        (1, False),
        (70, False),
    ],
)
def test_a_process_is_killed_by_others_or_ends_for_what_it_did(code, outside):
    assert killed_from_outside(code) is outside


@pytest.mark.parametrize(
    ("ends", "wanted", "at_once", "next_in"),
    [
        pytest.param([], 3, 3, None, id="what never ran is free"),
        pytest.param([(KILLED, False)], 1, 1, None, id="killed while it started"),
        pytest.param([(KILLED, True)], 1, 1, None, id="killed while it served"),
        pytest.param([(1, True)], 1, 1, None, id="ended by itself after it had served"),
        pytest.param([(1, False)], 1, 0, 0.5, id="ended by itself before it was ready"),
        pytest.param([(-signal.SIGSEGV, False)], 1, 0, 0.5, id="a fault of its own"),
        pytest.param([(1, False), (KILLED, True)], 2, 1, 0.5, id="one that served does not wait for one that cannot"),
        pytest.param([(1, False)] * 3, 3, 0, 0.5, id="a pool that fails at once fails once"),
        pytest.param([(KILLED, True)] * 10, 10, 10, None, id="a burst"),
        pytest.param([(KILLED, True)] * 12, 12, 10, 0.5, id="more than a burst"),
        pytest.param([(KILLED, True)] * 12, 20, 18, 0.5, id="new ones beside more than a burst"),
        pytest.param([(KILLED, True)] * 3, 1, 1, None, id="fewer are wanted than ended"),
    ],
)
def test_how_many_start_at_once_and_when_the_next_may(ends, wanted, at_once, next_in):
    restarts, granted = after(*ends).grant(wanted, NOW)
    assert granted == at_once
    assert restarts.next_at(NOW) == (None if next_in is None else NOW + next_in)


def test_the_bucket_fills_at_its_rate_and_no_higher_than_a_burst():
    spent, _ = after(*[(KILLED, True)] * 30).grant(30, NOW)
    assert [spent.grant(20, NOW + seconds)[1] for seconds in (0, 0.4, 0.5, 1, 5, 600)] == [0, 0, 1, 2, 10, 10]


def test_rounds_of_failures_back_off_ever_longer_up_to_a_limit_until_one_is_ready():
    restarts, now, pauses = Restarts(), NOW, []
    for _ in range(8):
        restarts = restarts.ended(1, was_ready=False, started_at=now, now=now)
        at = restarts.next_at(now)
        assert restarts.grant(1, at - 0.01)[1] == 0
        restarts, granted = restarts.grant(1, at)
        assert granted == 1
        pauses.append(at - now)
        now = at
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    restarts = restarts.became_ready().ended(1, was_ready=False, started_at=now, now=now)
    assert restarts.next_at(now) == now + 0.5


def test_kills_in_between_do_not_lengthen_a_back_off_nor_shorten_it():
    failed = after((1, False), (KILLED, False), (KILLED, True), (KILLED, False))
    restarts, granted = failed.grant(4, NOW)
    assert (granted, restarts.failures, restarts.next_at(NOW)) == (3, 1, NOW + 0.5)


def test_new_code_is_tried_at_once():
    restarts = after((1, False)).renewed()
    assert restarts.grant(1, NOW)[1] == 1


def test_new_code_does_not_refill_the_bucket():
    spent, _ = after(*[(KILLED, True)] * 30).grant(30, NOW)
    assert spent.renewed().grant(20, NOW)[1] == 0


ends = st.lists(
    st.tuples(st.floats(0, 3), st.sampled_from([KILLED, 1, -signal.SIGSEGV]), st.booleans()), min_size=1, max_size=60
)


@given(ends)
def test_what_is_killed_never_waits_longer_than_the_bucket_and_nothing_is_ever_stuck(history):
    """One process after the other, each replaced as soon as the rule lets it."""
    now, restarts, killed_at = NOW, Restarts(), []
    for lived, code, was_ready in history:
        started, now = now, now + lived
        restarts = restarts.ended(code, was_ready=was_ready, started_at=started, now=now)
        free = was_ready or killed_from_outside(code)
        at = restarts.next_at(now)
        assert at is not None
        assert now <= at <= now + (1 / PER_SECOND if free else LONGEST_BACK_OFF_SECONDS)
        restarts, granted = restarts.grant(1, at)
        assert granted == 1
        assert restarts.next_at(at) is None
        now = at
        killed_at += [at] * free
        assert sum(at - 10 <= then for then in killed_at) <= BURST + 10 * PER_SECOND + 1


@example(killed=12, failed=0, wanted=12, later=23.089626718515884)  # rounding leaves almost a token
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.floats(0, 100))
def test_no_more_start_than_are_wanted_and_all_that_are_wanted_start_in_the_end(killed, failed, wanted, later):
    restarts = after(*[(KILLED, True)] * killed, *[(1, False)] * failed)
    started, now = 0, NOW + later
    for _ in range(100):
        restarts, granted = restarts.grant(wanted - started, now)
        started += granted
        if started == wanted:
            break
        at = restarts.next_at(now)
        assert at is not None
        assert at > now
        now = at
    assert started == wanted


def test_a_larger_pool_may_start_all_its_runners_anew_at_once():
    restarts = after(*[(KILLED, True)] * 40, restarts=replace(Restarts(), burst=40))
    assert restarts.grant(40, NOW)[1] == 40
