"""The queue: unfinished runs without payload, with computed deadlines, for the parts that place runs."""

from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.runs import RunHead
from relayrun_core.states import CancelAction, RunStatus

_HEAD = """
SELECT run_id, seq, thread_id, agent, graph, status, attempt, holder, runner, failed_attempts, suspect,
    extract(epoch FROM not_before)::float AS not_before,
    CASE WHEN cancel_requested_at IS NOT NULL THEN coalesce(cancel_action, 'interrupt') END AS cancel,
    extract(epoch FROM started_at)::float + (spec ->> 'active_deadline_seconds')::float AS active_deadline,
    (spec ->> 'active_deadline_seconds')::float AS active_deadline_seconds,
    extract(epoch FROM created_at)::float + (spec ->> 'starting_deadline_seconds')::float AS starting_deadline
FROM runs"""
_OF_RUNS = f"{_HEAD} WHERE run_id = ANY(%s)"
_UNFINISHED = f"{_HEAD} WHERE status IN ('pending', 'running') ORDER BY seq"
_NAMES = tuple(field.name for field in fields(RunHead))


async def heads_of(database: Database, run_ids: list[UUID]) -> list[RunHead]:
    """Return those of the runs that exist, finished ones included, in no order."""
    return [_to_head(row) for row in await database.fetch_all(_OF_RUNS, (run_ids,))]


async def unfinished_heads(database: Database) -> list[RunHead]:
    """Return all pending and running runs, in the order of their acceptance."""
    return [_to_head(row) for row in await database.fetch_all(_UNFINISHED)]


def _to_head(row: dict[str, Any]) -> RunHead:
    values = {name: row[name] for name in _NAMES}
    values["status"] = RunStatus(row["status"])
    values["cancel"] = CancelAction(row["cancel"]) if row["cancel"] else None
    return RunHead(**values)


_LOAD = """
SELECT agent, count(*) FILTER (WHERE status = 'running') AS running,
    count(*) FILTER (WHERE status = 'pending') AS queued,
    extract(epoch FROM now() - min(created_at) FILTER (WHERE status = 'pending'))::float AS oldest
FROM runs WHERE status IN ('pending', 'running') GROUP BY agent ORDER BY agent"""
_BY_RUNNER = """
SELECT agent, runner, count(*) AS running FROM runs WHERE status = 'running' AND runner IS NOT NULL
GROUP BY agent, runner"""
_VECTOR = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"


@dataclass(frozen=True)
class AgentLoad:
    """An agent's unfinished runs. A thread has at most one running run, so `running` counts active threads."""

    agent: str
    running: int
    queued: int
    oldest_queued_seconds: float | None


async def load_by_agent(database: Database) -> list[AgentLoad]:
    """Return the load of every agent that has unfinished runs."""
    return [
        AgentLoad(row["agent"], row["running"], row["queued"], row["oldest"]) for row in await database.fetch_all(_LOAD)
    ]


async def running_by_runner(database: Database) -> dict[tuple[str, str], int]:
    """How many runs each runner executes, by agent and the runner's name."""
    rows = await database.fetch_all(_BY_RUNNER)
    return {(row["agent"], row["runner"]): row["running"] for row in rows}


async def vector_version(database: Database) -> str | None:
    """The version of pgvector in this database, or None."""
    row = await database.fetch_one(_VECTOR)
    return str(row["extversion"]) if row else None
