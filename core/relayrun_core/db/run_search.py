"""Runs across threads: searched for, newest first, and counted by outcome.

A search looks at a bounded number of rows. Where that was not enough to fill the page, the answer says where to go on.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.metadata_filter import MetadataFilter
from relayrun_core.ids import uuid_of
from relayrun_core.states import RunStatus

#: How many rows of an index a search that filters them looks at.
SCANNED_ROWS = 10_000
#: How many finished runs the numbers are made of at most.
COUNTED_RUNS = 100_000


class Cursor(NamedTuple):
    """The last run that a page looked at."""

    created_at: datetime
    run_id: UUID


@dataclass(frozen=True)
class RunQuery:
    """Which runs are meant. `text` is looked for in metadata, thread names and ids."""

    owner: str | None = None
    #: Whoever owns them.
    any_owner: bool = False
    status: list[RunStatus] | None = None
    agent: str | None = None
    graph: str | None = None
    assistant_id: UUID | None = None
    thread_id: UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    text: str | None = None
    #: What an author's handler lets the caller see of threads.
    visible: MetadataFilter | None = None


@dataclass(frozen=True)
class FoundRun:
    """A run without its input. `waiting`: its questions have no answer yet."""

    run_id: UUID
    thread_id: UUID
    thread_name: str | None
    owner: str | None
    assistant_id: UUID | None
    agent: str
    graph: str
    number: int
    status: RunStatus
    waiting: bool
    reason: str | None
    message: str | None
    attempt: int
    runner: str | None
    metadata: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class Found:
    """A page of runs, and where to go on; None: there are no more."""

    runs: list[FoundRun]
    next: Cursor | None


@dataclass(frozen=True)
class Bucket:
    """How many runs ended in which way, from `at` on."""

    at: datetime
    success: int = 0
    interrupted: int = 0
    error: int = 0
    timeout: int = 0
    cancelled: int = 0


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds that half and 95 of 100 runs stayed below."""

    p50: float
    p95: float


@dataclass(frozen=True)
class RunNumbers:
    """What happened since a time. `start_ms`: from acceptance to claim; `duration_ms`: from claim to end."""

    since: datetime
    bucket_seconds: int
    buckets: list[Bucket]
    start_ms: Percentiles | None
    duration_ms: Percentiles | None
    pending: int
    running: int
    delayed: int


_COLUMNS = """r.run_id, r.thread_id, t.name AS thread_name, r.owner, r.assistant_id, r.agent, r.graph, r.number,
    r.status, r.status = 'interrupted' AND t.status = 'interrupted' AND r.number = t.run_count AS waiting,
    r.reason, r.message, r.attempt, r.runner, coalesce(r.spec -> 'metadata', '{}') AS metadata,
    r.created_at, r.started_at, r.finished_at"""
_ORDER = "ORDER BY created_at DESC, run_id DESC"
# Of a run that is undone nothing is shown.
_SHOWN = "(r.status <> 'cancelled' OR r.cancel_action IS DISTINCT FROM 'rollback')"
_ENDED = """
WITH ended AS MATERIALIZED (
    SELECT r.status, r.created_at, r.started_at, r.finished_at FROM runs r
    WHERE {condition} AND r.finished_at >= now() - make_interval(mins => %(minutes)s)
    ORDER BY r.finished_at DESC LIMIT %(most)s)"""
_NUMBERS = """
SELECT date_bin(make_interval(secs => %(bucket)s), finished_at, 'epoch') AS at, status, count(*) AS count
FROM ended GROUP BY 1, 2 ORDER BY 1"""
_TIMES = """
SELECT now() - make_interval(mins => %(minutes)s) AS since,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - created_at) * 1000)
        FILTER (WHERE started_at IS NOT NULL) AS start_ms,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at) * 1000)
        FILTER (WHERE started_at IS NOT NULL) AS duration_ms
FROM ended"""
_UNFINISHED = """
SELECT status, count(*) AS count FROM (
    SELECT r.status FROM runs r WHERE r.status IN ('pending', 'running') AND {condition}
    UNION ALL SELECT r.status FROM runs r WHERE r.status = 'delayed' AND {condition}) AS unfinished
GROUP BY status"""
_ATTEMPTS = """
SELECT attempt, runner, claimed_at, ended_at, ending FROM run_attempts WHERE run_id = %s ORDER BY attempt"""


@dataclass(frozen=True)
class Attempt:
    """One try at a run. `ending`: Finished, Drained or Lost; None while it is under way."""

    attempt: int
    runner: str
    claimed_at: datetime
    ended_at: datetime | None
    ending: str | None


@dataclass
class _Where:
    """Conditions that an index serves, those that rows are held against one by one, and their parameters."""

    walked: list[str] = field(default_factory=lambda: [_SHOWN])
    filtered: list[str] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)

    def walk(self, condition: str, **params: Any) -> None:
        self.walked.append(condition)
        self.params |= params

    def filter(self, condition: str, **params: Any) -> None:
        self.filtered.append(condition)
        self.params |= params


async def search_runs(database: Database, query: RunQuery, *, limit: int, after: Cursor | None = None) -> Found:
    """A page of the runs that `query` means, newest first, behind the run `after`."""
    where = _where(query)
    if after is not None:
        where.walk("(r.created_at, r.run_id) < (%(at)s, %(id)s)", at=after.created_at, id=after.run_id)
    walked = f"FROM runs r WHERE {' AND '.join(where.walked)} {_ORDER}"
    bounded = f"(SELECT r.* {walked} LIMIT %(scanned)s)" if where.filtered else f"(SELECT r.* {walked} LIMIT %(limit)s)"
    kept = " AND ".join(where.filtered) or "true"
    statement = f"""SELECT {_COLUMNS} FROM {bounded} AS r JOIN threads t USING (thread_id)
        WHERE {kept} ORDER BY r.created_at DESC, r.run_id DESC LIMIT %(limit)s"""  # noqa: S608 - our own conditions
    params = where.params | {"limit": limit + 1, "scanned": SCANNED_ROWS}
    rows = await _planned_anew(database, statement, params)
    runs = [FoundRun(**{**row, "status": RunStatus(row["status"])}) for row in rows[:limit]]
    if len(rows) > limit:
        return Found(runs, Cursor(runs[-1].created_at, runs[-1].run_id))
    if not where.filtered:
        return Found(runs, None)
    last = f"SELECT r.created_at, r.run_id {walked} OFFSET %(scanned)s - 1 LIMIT 1"
    looked = await _planned_anew(database, last, params)
    return Found(runs, Cursor(**looked[0]) if looked else None)


async def run_numbers(database: Database, query: RunQuery, *, minutes: int, bucket_seconds: int) -> RunNumbers:
    """What ended in the last minutes, and what is under way."""
    where = _where(query)
    condition = " AND ".join([*where.walked, *where.filtered])
    ended = _ENDED.format(condition=condition)
    params = where.params | {"minutes": minutes, "bucket": bucket_seconds, "most": COUNTED_RUNS}
    counted: dict[datetime, dict[str, int]] = {}
    for row in await _planned_anew(database, ended + _NUMBERS, params):
        counted.setdefault(row["at"], {})[row["status"]] = row["count"]
    (times,) = await _planned_anew(database, ended + _TIMES, params)
    under_way = {
        row["status"]: row["count"]
        for row in await _planned_anew(database, _UNFINISHED.format(condition=condition), params)
    }
    return RunNumbers(
        since=times["since"],
        bucket_seconds=bucket_seconds,
        buckets=[Bucket(at, **counts) for at, counts in counted.items()],
        start_ms=Percentiles(*times["start_ms"]) if times["start_ms"] else None,
        duration_ms=Percentiles(*times["duration_ms"]) if times["duration_ms"] else None,
        pending=under_way.get("pending", 0),
        running=under_way.get("running", 0),
        delayed=under_way.get("delayed", 0),
    )


async def attempts_of(database: Database, run_id: UUID) -> list[Attempt]:
    """All tries at a run, the first one first."""
    return [Attempt(**row) for row in await database.fetch_all(_ATTEMPTS, (run_id,))]


def _where(query: RunQuery) -> _Where:
    where = _Where()
    if not query.any_owner and query.owner is None:
        where.walk("r.owner IS NULL")
    # The condition of each that is asked for, and whether an index serves it.
    status = None if query.status is None else [status.value for status in query.status]
    for name, given, condition, indexed in (
        ("owner", query.owner, "r.owner = %(owner)s", True),
        ("status", status, "r.status = ANY(%(status)s::text[])", True),
        ("graph", query.graph, "r.graph = %(graph)s", True),
        ("thread", query.thread_id, "r.thread_id = %(thread)s", True),
        ("since", query.created_after, "r.created_at >= %(since)s", True),
        ("until", query.created_before, "r.created_at < %(until)s", True),
        ("agent", query.agent, "r.agent = %(agent)s", False),
        ("assistant", query.assistant_id, "r.assistant_id = %(assistant)s", False),
    ):
        if given is not None:
            (where.walk if indexed else where.filter)(condition, **{name: given})
    if query.visible is not None:
        condition, more = query.visible.sql("t.metadata")
        where.filter(f"EXISTS (SELECT 1 FROM threads t WHERE t.thread_id = r.thread_id AND {condition})", **more)  # noqa: S608
    if query.text:
        _look_for(where, query.text)
    return where


def _look_for(where: _Where, text: str) -> None:
    if (named := uuid_of(text)) is not None:
        where.walk("(r.run_id = %(named)s OR r.thread_id = %(named)s)", named=named)
        return
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    where.filter(
        "((r.spec -> 'metadata')::text ILIKE %(text)s OR r.run_id::text LIKE %(prefix)s OR EXISTS ("
        "SELECT 1 FROM threads t WHERE t.thread_id = r.thread_id AND t.name ILIKE %(text)s))",
        text=f"%{escaped}%",
        prefix=f"{escaped.lower()}%",
    )


async def _planned_anew(database: Database, statement: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows. Which index is right depends on the values, so that no plan is kept."""

    async def fetch() -> list[dict[str, Any]]:
        async with database.connection() as conn:
            return await (await conn.execute(statement.encode(), params, prepare=False)).fetchall()

    return await database.twice(fetch)
