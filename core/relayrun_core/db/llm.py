"""What runners report about the endpoints of their agents' language models, and what of that still counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from relayrun_core.database import Database

# One statement. Runners that clean up at the same time pass over each other's rows.
_REPORT = """
WITH gone AS (
    DELETE FROM llm_reports WHERE (holder, endpoint) IN (
        SELECT holder, endpoint FROM llm_reports
        WHERE (holder = %(holder)s AND endpoint <> ALL(%(endpoints)s::text[]))
           OR (holder <> %(holder)s AND good_until < now())
        FOR UPDATE SKIP LOCKED))
INSERT INTO llm_reports (holder, endpoint, agent, status, reason, checked_at, good_until)
SELECT %(holder)s, told.endpoint, %(agent)s, CASE WHEN told.reason IS NULL THEN 'ok' ELSE 'down' END, told.reason,
    now(), now() + make_interval(secs => %(seconds)s)
FROM unnest(%(endpoints)s::text[], %(reasons)s::text[]) AS told (endpoint, reason)
ON CONFLICT (holder, endpoint) DO UPDATE SET agent = EXCLUDED.agent, status = EXCLUDED.status,
    reason = EXCLUDED.reason, checked_at = EXCLUDED.checked_at, good_until = EXCLUDED.good_until"""
_TAKE_BACK = "DELETE FROM llm_reports WHERE holder = %s"
_GOOD = """
SELECT agent, endpoint, reason, count(*) AS runners,
    extract(epoch FROM now() - max(checked_at))::float AS age_seconds
FROM llm_reports WHERE good_until > now() GROUP BY agent, endpoint, reason ORDER BY agent, endpoint, reason"""


@dataclass(frozen=True)
class LlmVerdict:
    """What a runner says of an endpoint. `reason`: why it is down, a sentence; None: it is well."""

    endpoint: str
    reason: str | None = None


@dataclass(frozen=True)
class LlmReport:
    """What `runners` of an agent's runners say of an endpoint, the last of them `age_seconds` ago."""

    agent: str
    endpoint: str
    reason: str | None
    runners: int
    age_seconds: float


async def report_llm(
    database: Database, *, agent: str, holder: UUID, verdicts: Sequence[LlmVerdict], good_for_seconds: float
) -> None:
    """Replace what this runner has reported; reports of others that are no longer good are removed."""
    params = {
        "agent": agent,
        "holder": holder,
        "endpoints": [verdict.endpoint for verdict in verdicts],
        "reasons": [verdict.reason for verdict in verdicts],
        "seconds": good_for_seconds,
    }
    await database.execute(_REPORT, params)


async def take_llm_reports_back(database: Database, holder: UUID) -> None:
    """Remove what this runner has reported: it goes."""
    await database.execute(_TAKE_BACK, (holder,))


async def llm_reports(database: Database) -> list[LlmReport]:
    """What the runners that are there say, by agent and endpoint."""
    return [LlmReport(**row) for row in await database.fetch_all(_GOOD)]
