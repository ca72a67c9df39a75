"""What author code printed and logged while a run executed: written in batches, read in pages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from relayrun_core import storable
from relayrun_core.database import Database

#: Of how many attempts a run's lines are kept: those of its newest.
ATTEMPTS_KEPT = 4
_MOST_BATCHES = 32

_INSERT = """
INSERT INTO run_logs (run_id, attempt, first, last, lines)
SELECT run_id, %(attempt)s, %(first)s, %(last)s, %(lines)s FROM runs WHERE run_id = %(run)s
ON CONFLICT (run_id, attempt, first) DO NOTHING"""
_FORGET_OLDEST = "DELETE FROM run_logs WHERE run_id = %s AND attempt <= %s"
_READ = f"""
SELECT attempt, lines FROM run_logs
WHERE run_id = %(run)s AND (attempt, last) > (%(attempt)s, %(number)s)
  AND (%(only)s::integer IS NULL OR attempt = %(only)s)
  AND (%(newer_than)s::bigint IS NULL OR (extract(epoch FROM created_at) * 1000)::bigint >= %(newer_than)s)
ORDER BY attempt, first LIMIT {_MOST_BATCHES}"""  # noqa: S608 - our own number


@dataclass(frozen=True)
class LogBatch:
    """Some lines of an attempt that follow each other. Each is a dict with its number as `n`, its time as `at` in
    milliseconds since 1970, and `source`, `text`, `node`, `level` and `logger`.
    """

    run_id: UUID
    attempt: int
    first: int
    last: int
    lines: bytes

    @classmethod
    def of(cls, run_id: UUID, attempt: int, lines: list[dict[str, Any]]) -> "LogBatch":
        """The batch of these lines, at least one."""
        return cls(run_id, attempt, lines[0]["n"], lines[-1]["n"], storable.dumps(lines))


async def append_log(database: Database, batch: LogBatch) -> None:
    """Keep the batch; nothing happens if it is kept already, or if there is no such run.

    Raises psycopg's ForeignKeyViolation where the run is deleted meanwhile.
    """
    async with database.connection() as conn, conn.transaction():
        await conn.execute("SET LOCAL synchronous_commit = off")
        if batch.first == 1 and batch.attempt > ATTEMPTS_KEPT:
            await conn.execute(_FORGET_OLDEST, (batch.run_id, batch.attempt - ATTEMPTS_KEPT))
        params = {"run": batch.run_id, "attempt": batch.attempt, "first": batch.first, "last": batch.last}
        await conn.execute(_INSERT, {**params, "lines": batch.lines.decode()})


@dataclass(frozen=True)
class LogPosition:
    """Behind a line: its attempt and number."""

    attempt: int = 0
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> "LogPosition":
        """The position that `str` gives. Raises ValueError."""
        attempt, dash, number = text.partition("-")
        if not (dash and attempt.isascii() and attempt.isdecimal() and number.isascii() and number.isdecimal()):
            raise ValueError(f"{text!r} is not the id of a line")
        position = cls(int(attempt), int(number))
        if max(position.attempt, position.number) >= 2**31:
            raise ValueError(f"{text!r} is not the id of a line")
        return position

    def __str__(self) -> str:
        return f"{self.attempt}-{self.number}"


@dataclass(frozen=True)
class LogPage:
    """Lines in order, each with its position. `more`: there may be more behind `end`."""

    lines: list[tuple[LogPosition, Mapping[str, Any]]]
    end: LogPosition
    more: bool


async def read_log(
    database: Database,
    run_id: UUID,
    after: LogPosition,
    *,
    limit: int,
    attempt: int | None = None,
    newer_than: int | None = None,
) -> LogPage:
    """At most `limit` lines behind `after`; of one attempt, or no older than `newer_than` (milliseconds since 1970)."""
    params = {"run": run_id, "attempt": after.attempt, "number": after.number, "only": attempt}
    rows = await database.fetch_all(_READ, {**params, "newer_than": newer_than})
    read = list(_lines(rows))
    found = [
        (position, line)
        for position, line in read
        if (position.attempt, position.number) > (after.attempt, after.number)
        and (newer_than is None or line["at"] >= newer_than)
    ]
    if len(found) > limit:
        return LogPage(found[:limit], found[limit - 1][0], more=True)
    return LogPage(found, read[-1][0] if read else after, more=len(rows) == _MOST_BATCHES)


def _lines(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[LogPosition, Mapping[str, Any]]]:
    for row in rows:
        for line in orjson.loads(row["lines"]):
            yield LogPosition(row["attempt"], line["n"]), line
