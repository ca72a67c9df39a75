"""Computes when a cron fires: expressions with five fields and time zones, as Debian's cron reads them. Pure."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

LONGEST_SCHEDULE = 256
LONGEST_ZONE = 64
_FIELDS = "minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7)"
_EXAMPLE = "as in '*/15 9-17 * * MON-FRI'"
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_ANY_TIME = datetime(2024, 1, 1, tzinfo=UTC)


def check_schedule(schedule: str) -> str:
    """The schedule. Raises ValueError for one that cannot be read, or that never fires."""
    expression = _expression_of(schedule)
    if len(expression.split()) != 5:
        raise ValueError(f"a schedule has five fields, {_FIELDS}, {_EXAMPLE}; there is no field for seconds")
    try:
        first = next(CronSim(expression, _ANY_TIME), None)
    except CronSimError as error:
        problem = str(error)
        raise ValueError(
            f"{problem[:1].lower()}{problem[1:]}: the five fields are {_FIELDS}, {_EXAMPLE}, and must name a day that "
            "there is"
        ) from error
    if first is None:
        raise ValueError("this schedule never fires: use a day that exists")
    return schedule


def check_zone(timezone: str) -> str:
    """The time zone. Raises ValueError for one that is not known here."""
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, KeyError):  # also for folders, and for what can be no file's name
        raise ValueError("unknown time zone: use a name from the IANA database, such as Europe/Berlin or UTC") from None
    return timezone


def next_fire(schedule: str, timezone: str | None, after: datetime, until: datetime | None = None) -> datetime | None:
    """The first time behind `after` at which the schedule fires, in UTC; None when that is later than `until`.

    A fixed time that the clocks skip in spring is made up for right behind the gap, and one that they show twice in
    autumn counts once; every so many minutes or hours goes by time that passes. No time zone: UTC.
    """
    zone = ZoneInfo(timezone) if timezone else UTC
    for local in CronSim(_expression_of(schedule), after.astimezone(zone)):
        moment = local.astimezone(UTC)
        if moment > after:  # in the hour that comes twice, a fixed time may be the first hour's
            return None if until is not None and moment > until else moment
    return None


def next_fires(schedule: str, timezone: str | None, after: datetime, count: int) -> list[datetime]:
    """The next so many times, as `next_fire`; fewer where it fires no more."""
    times: list[datetime] = []
    while len(times) < count and (time := next_fire(schedule, timezone, times[-1] if times else after)):
        times.append(time)
    return times


def _expression_of(schedule: str) -> str:
    return _NAMED.get(schedule.strip().lower(), schedule)
