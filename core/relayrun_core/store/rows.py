"""Rows of the database as the dataclasses of `relayrun_core.runs`."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from relayrun_core.runs import PendingInterrupt, Run, RunSpec
from relayrun_core.states import CancelAction, Reason, RunStatus, ThreadStatus

RUN_COLUMNS = ", ".join(f"r.{field.name}" for field in fields(Run))


@dataclass(frozen=True)
class Thread:
    """A row of `threads`; values and interrupts are as of the last finish."""

    thread_id: UUID
    owner: str | None
    name: str | None
    metadata: dict[str, Any]
    status: ThreadStatus
    values: Any
    interrupts: tuple[PendingInterrupt, ...]
    error: dict[str, Any] | None
    graph: str | None
    agent: str | None
    run_count: int
    created_at: datetime
    updated_at: datetime


THREAD_COLUMNS = ", ".join(field.name for field in fields(Thread))


def to_run(row: dict[str, Any]) -> Run:
    """A Run from a row with RUN_COLUMNS."""
    values = {field.name: row[field.name] for field in fields(Run)}
    values["status"] = RunStatus(row["status"])
    values["reason"] = Reason(row["reason"]) if row["reason"] else None
    values["cancel_action"] = CancelAction(row["cancel_action"]) if row["cancel_action"] else None
    values["spec"] = RunSpec.model_validate(row["spec"])
    return Run(**values)


def to_thread(row: dict[str, Any]) -> Thread:
    """A Thread from a row with THREAD_COLUMNS."""
    values = {field.name: row[field.name] for field in fields(Thread)}
    values["status"] = ThreadStatus(row["status"])
    values["interrupts"] = tuple(PendingInterrupt(**entry) for entry in row["interrupts"])
    return Thread(**values)
