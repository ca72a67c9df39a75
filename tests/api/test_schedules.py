"""When a schedule fires: time zones, the hours that come twice and never, and expressions of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relayrun_api.crons.schedules import check_schedule, check_zone, next_fire

BERLIN, NEW_YORK, LORD_HOWE, CAIRO = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"


def at(text: str) -> datetime:
    """A time in UTC: `2026-03-29 01:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "fires"),
    [
        ("* * * * *", None, "2026-01-01 00:00", "2026-01-01 00:01"),
        ("* * * * *", None, "2026-01-01 00:00:59.999999", "2026-01-01 00:01"),
        ("*/15 9-17 * * MON-FRI", None, "2026-01-02 17:45", "2026-01-05 09:00"),
        ("27 15 * * *", NEW_YORK, "2026-01-01 00:00", "2026-01-01 20:27"),
        ("27 15 * * *", NEW_YORK, "2026-07-01 00:00", "2026-07-01 19:27"),
        ("0 0 29 2 *", None, "2026-01-01 00:00", "2028-02-29 00:00"),
        ("0 12 L * *", None, "2026-02-01 00:00", "2026-02-28 12:00"),
        ("0 0 * * MON#1", None, "2026-02-03 00:00", "2026-03-02 00:00"),
        ("@Daily", BERLIN, "2026-01-01 00:00", "2026-01-01 23:00"),
        # Spring: the clock goes from 2:00 to 3:00. A fixed time in the gap is made up for behind it.
        ("30 2 * * *", BERLIN, "2026-03-29 00:00", "2026-03-29 01:00"),
        ("30 2 * * *", BERLIN, "2026-03-29 01:00", "2026-03-30 00:30"),
        ("*/30 * * * *", BERLIN, "2026-03-29 00:30", "2026-03-29 01:00"),
        ("0 0 * * *", CAIRO, "2026-04-23 21:30", "2026-04-23 22:00"),
        ("15 2 * * *", LORD_HOWE, "2026-10-03 15:00", "2026-10-03 15:30"),
        # Autumn: the hour from 2:00 to 3:00 comes twice. A fixed time counts once, minutes go by time that passes.
        ("30 2 * * *", BERLIN, "2026-10-24 22:00", "2026-10-25 00:30"),
        ("30 2 * * *", BERLIN, "2026-10-25 00:30", "2026-10-26 01:30"),
        ("30 2 * * *", BERLIN, "2026-10-25 01:10", "2026-10-26 01:30"),
        ("*/30 * * * *", BERLIN, "2026-10-25 00:30", "2026-10-25 01:00"),
        ("*/30 * * * *", BERLIN, "2026-10-25 01:00", "2026-10-25 01:30"),
        ("0 * * * *", BERLIN, "2026-10-25 00:00", "2026-10-25 01:00"),
    ],
)
def test_a_schedule_fires_by_the_clock_on_the_wall(schedule: str, zone: str | None, after: str, fires: str) -> None:
    assert next_fire(schedule, zone, at(after)) == at(fires)


def test_a_schedule_ends() -> None:
    after = at("2026-01-01 00:00")
    assert next_fire("0 * * * *", None, after, at("2026-01-01 01:00")) == at("2026-01-01 01:00")
    assert next_fire("0 * * * *", None, after, at("2026-01-01 00:59")) is None


@pytest.mark.parametrize("zone", [None, BERLIN, NEW_YORK, LORD_HOWE, CAIRO])
@pytest.mark.parametrize("schedule", ["30 2 * * *", "0 0 * * *", "0 */2 * * *", "15 1-3 * * *"])
def test_no_day_of_a_year_is_missed_or_comes_twice(zone: str | None, schedule: str) -> None:
    moment, end, times = at("2026-01-01 00:00"), at("2027-01-01 00:00"), 0
    while (following := next_fire(schedule, zone, moment)) is not None and following < end:
        assert moment < following <= moment + timedelta(hours=26)
        moment, times = following, times + 1
    expected = {"30 2 * * *": 365, "0 0 * * *": 365, "0 */2 * * *": 4380, "15 1-3 * * *": 1095}[schedule]
    assert abs(times - expected) <= 2  # every other hour goes by time that passes


TERMS = st.one_of(
    st.sampled_from(["*", "*/5", "L", "LW", "MON#1", "5L", "MON-FRI", "JAN", "1,L", "?", "", "0-0", "²L", "1/1/1"]),
    st.integers(-1, 70).map(str),
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda ends: f"{ends[0]}-{ends[1]}/3"),
    st.text(max_size=5),
)


@given(st.lists(TERMS, min_size=4, max_size=6), st.sampled_from([None, BERLIN, LORD_HOWE]), st.integers(0, 10**8))
@settings(max_examples=300, deadline=None)
def test_what_is_taken_fires_and_what_is_not_is_refused(terms: list[str], zone: str | None, seconds: int) -> None:
    schedule, after = " ".join(terms), at("2025-01-01 00:00") + timedelta(seconds=seconds)
    try:
        check_schedule(schedule)
    except ValueError:
        return
    fires = next_fire(schedule, zone, after)
    assert fires is not None
    assert fires > after
    assert (fires.second, fires.microsecond) == (0, 0)


@pytest.mark.parametrize("zone", ["America", "../etc", "/etc/passwd", "", "Mars/X", "x" * 300, "a\0b", "\ud800", "x y"])
def test_no_name_of_a_file_is_a_time_zone(zone: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        check_zone(zone)
