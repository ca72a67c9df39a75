"""The unfinished runs as those see them who place runs: without payload, with their deadlines worked out."""

from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.states import CancelAction, RunStatus


@dataclass(frozen=True, slots=True)
class RunHead:
    """What placing needs of a run. Times are seconds since the epoch.

    `cancel` is None unless a cancel was accepted; `active_deadline` is None until the run has started.
    """

    run_id: UUID
    seq: int
    thread_id: UUID
    agent: str
    graph: str
    status: RunStatus
    attempt: int
    holder: UUID | None
    runner: str | None
    failed_attempts: int
    suspect: bool
    not_before: float | None
    cancel: CancelAction | None
    active_deadline: float | None
    active_deadline_seconds: float
    starting_deadline: float


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
    """Those of the runs that exist, finished ones too, in no order."""
    return [_to_head(row) for row in await database.fetch_all(_OF_RUNS, (run_ids,))]


async def unfinished_heads(database: Database) -> list[RunHead]:
    """All pending and running runs, in the order in which they were accepted."""
    return [_to_head(row) for row in await database.fetch_all(_UNFINISHED)]


def _to_head(row: dict[str, Any]) -> RunHead:
    values = {name: row[name] for name in _NAMES}
    values["status"] = RunStatus(row["status"])
    values["cancel"] = CancelAction(row["cancel"]) if row["cancel"] else None
    return RunHead(**values)
