"""What `/status` says: each part's state, and the worst of them as the whole's."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

import psycopg

from relayrun_api.runners.client import Runners
from relayrun_api.system import models
from relayrun_core.clock import monotonic_seconds
from relayrun_core.database import Database
from relayrun_core.db.agents import LlmReport, llm_reports
from relayrun_core.db.migrate import require_schema
from relayrun_core.db.queue import AgentLoad, load_by_agent, vector_version
from relayrun_core.db.reconcile import refusals
from relayrun_core.errors import SchemaTooOld

_LIMIT_SECONDS = 2.0
# A disk counts as full for so long after a statement found it so: reads go on, so that only writes can tell.
_DISK_FULL_SECONDS = 30.0
_AWAY = "The database does not answer: try again in a moment."
# Of what is wrong with language models so many are told: a gateway that is down fails for every agent.
_MOST_REASONS = 5


class Health(StrEnum):
    """A part's state. `disabled` parts do not count."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Check:
    """One part's state, with what else there is to say of it."""

    status: Health
    more: dict[str, Any] = field(default_factory=dict)

    def body(self, *, in_detail: bool) -> dict[str, Any]:
        """The check as JSON; the reason, which names hosts and repeats messages, only in detail."""
        more = {name: value for name, value in self.more.items() if in_detail or name != "reason"}
        return {"status": self.status.value, **more}


@dataclass(frozen=True)
class Findings:
    """The whole. Only a database that is down makes it down."""

    checks: dict[str, Check]
    load: list[AgentLoad]
    version: str
    #: Why runs that wait have no AgentRun, in the API server's own words.
    refusal: str | None = None

    @property
    def overall(self) -> Health:
        """ok, degraded or down."""
        if self.checks["database"].status is Health.DOWN:
            return Health.DOWN
        worst = {check.status for check in self.checks.values()} & {Health.DEGRADED, Health.DOWN}
        return Health.DEGRADED if worst else Health.OK

    def body(self, now: datetime, *, in_detail: bool) -> models.Status:
        """The answer of `/status`, to admins in detail."""
        ages = [entry.oldest_queued_seconds for entry in self.load if entry.oldest_queued_seconds is not None]
        active = {entry.agent: entry.running for entry in self.load if entry.running}
        queued = sum(entry.queued for entry in self.load)
        queue = models.Queue(
            length=queued,
            oldest_seconds=round(max(ages), 1) if ages else None,
            blocked=self._blocked(queued) if in_detail else None,
        )
        return models.Status(
            status=cast("models.Overall", self.overall.value),
            version=self.version,
            time=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            checks={name: check.body(in_detail=in_detail) for name, check in self.checks.items()},
            active_threads=sum(active.values()),
            active_threads_by_agent=active,
            queue=queue,
        )

    def _blocked(self, queued: int) -> str | None:
        """Why the queue does not move, if that is plain."""
        if queued and self.checks["runners"].status is Health.DOWN:
            return "no runner is ready"
        return self.refusal


ClusterChecks = Callable[[], Awaitable[dict[str, Check]]]


async def no_cluster() -> dict[str, Check]:
    """The checks of local mode."""
    return {"kubernetes": Check(Health.DISABLED), "operator": Check(Health.DISABLED)}


class StatusService:
    """Looks at every part."""

    def __init__(self, database: Database, runners: Runners, version: str, cluster: ClusterChecks) -> None:
        self._database = database
        self._runners = runners
        self._version = version
        self._cluster = cluster
        self._schema_seen = False

    async def status(self) -> Findings:
        """Every part's state, in at most a few seconds."""
        (database, vectors, llm, load, refusal), cluster = await asyncio.gather(
            self._database_checks(), self._cluster()
        )
        checks = {
            "database": database,
            "vector_store": vectors,
            "llm": llm,
            **cluster,
            "runners": self._runners_check(),
        }
        return Findings(checks, load, self._version, refusal)

    async def why_unready(self) -> str | None:
        """Why requests cannot be served, as a sentence; None when they can."""
        if not await self.database_answers():
            return _AWAY
        if not self._schema_seen:
            try:
                async with asyncio.timeout(_LIMIT_SECONDS):
                    await require_schema(self._database)
            except SchemaTooOld as error:
                return f"{error}."
            except (psycopg.OperationalError, TimeoutError):
                return _AWAY
            self._schema_seen = True
        return None

    async def database_answers(self) -> bool:
        """Whether the database answers within two seconds."""
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                await self._database.fetch_one("SELECT 1")
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it does not answer
            return False
        return True

    async def _database_checks(self) -> tuple[Check, Check, Check, list[AgentLoad], str | None]:
        began = time.perf_counter()
        if (why := await self.why_unready()) is not None:
            down = Check(Health.DOWN, {"reason": "the database does not answer within 2 s" if why == _AWAY else why})
            unknown = Check(Health.DISABLED, {"reason": "runners report to the database, which is down"})
            return down, Check(Health.DOWN, {"reason": "the database is down"}), unknown, [], None
        latency = round((time.perf_counter() - began) * 1000, 1)
        version = await vector_version(self._database)
        vectors = (
            Check(Health.OK, {"reason": f"pgvector {version}"})
            if version
            else Check(Health.DISABLED, {"reason": "pgvector is not installed in this database"})
        )
        ok = Check(Health.OK, {"latency_ms": latency})
        if monotonic_seconds() - self._database.disk_full_at < _DISK_FULL_SECONDS:
            ok = Check(Health.DEGRADED, {"latency_ms": latency, "reason": "its disk is full, so it can save nothing"})
        llm = llm_check(await llm_reports(self._database))
        return ok, vectors, llm, await load_by_agent(self._database), await self._refusal()

    async def _refusal(self) -> str | None:
        runs, message = await refusals(self._database)
        return f"{runs} runs have no AgentRun yet: {message}" if runs else None

    def _runners_check(self) -> Check:
        pools = self._runners.pools()
        more: dict[str, Any] = {"ready": pools.ready, "desired": pools.desired}
        if pools.problems:
            more["reason"] = "; ".join(pools.problems)
        if pools.ready == 0:
            return Check(Health.DOWN, {**more, "reason": more.get("reason", "no runner is ready")})
        return Check(Health.DEGRADED if pools.problems or pools.ready < pools.desired else Health.OK, more)


def llm_check(reports: list[LlmReport]) -> Check:
    """What the runners' reports come to: down if nobody reaches any endpoint, degraded if somebody does not reach one.

    `checked_seconds_ago` is the age of what is oldest among the newest reports about each endpoint.
    """
    if not reports:
        return Check(Health.DISABLED, {"reason": "no runner has reported an endpoint"})
    ages: dict[tuple[str, str], float] = {}
    runners: Counter[tuple[str, str]] = Counter()
    for report in reports:
        about = (report.agent, report.endpoint)
        ages[about] = min(report.age_seconds, ages.get(about, report.age_seconds))
        runners[about] += report.runners
    more: dict[str, Any] = {"checked_seconds_ago": round(max(ages.values()))}
    failing = [report for report in reports if report.reason is not None]
    if not failing:
        return Check(Health.OK, more)
    sentences = [_failure(report, runners[report.agent, report.endpoint]) for report in failing[:_MOST_REASONS]]
    if len(failing) > _MOST_REASONS:
        sentences.append(f"and {len(failing) - _MOST_REASONS} more")
    status = Health.DOWN if len(failing) == len(reports) else Health.DEGRADED
    return Check(status, {**more, "reason": "; ".join(sentences)})


def _failure(report: LlmReport, runners: int) -> str:
    where = f" (on {report.runners} of {runners} runners)" if report.runners < runners else ""
    return f"agent {report.agent}: {report.reason}{where}"


def utc_now() -> datetime:
    """The time, for answers."""
    return datetime.now(UTC)
