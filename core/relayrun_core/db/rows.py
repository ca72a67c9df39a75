"""Rows of the database as the dataclasses of `relayrun_core.runs`."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import TypeAdapter

from relayrun_core.runs import OutputKeys, PendingInterrupt, Run, RunSpec
from relayrun_core.states import CancelAction, Reason, RunStatus, ThreadStatus

RUN_COLUMNS = ", ".join(f"r.{field.name}" for field in fields(Run))


_RUN = TypeAdapter(Run)

#: Of JSON: the metadata of a thread, a run or an assistant, and each of a run's or an assistant's config and context.
MAX_OBJECT_BYTES = 256 * 1024
#: A condition on a row, as it was, and what is merged into its metadata: that the result may be kept. What is too large
#: already, from an older version, may shrink.
MERGES = f"""octet_length((metadata || %(metadata)s::jsonb)::text)
    <= greatest({MAX_OBJECT_BYTES}, octet_length(metadata::text))"""

TtlStrategy = Literal["delete", "keep_latest"]


@dataclass(frozen=True)
class Ttl:
    """How long a thread is kept after its last update, and what happens then: it is deleted, or loses all checkpoints
    but the newest.
    """

    minutes: float
    strategy: TtlStrategy = "delete"


@dataclass(frozen=True)
class Thread:
    """A row of `threads`; values and interrupts are as of the last finish."""

    thread_id: UUID
    owner: str | None
    name: str | None
    metadata: dict[str, Any]
    #: What its runs were configured with, without what their `configurable` had.
    config: dict[str, Any]
    status: ThreadStatus
    values: Any
    output_keys: OutputKeys
    interrupts: tuple[PendingInterrupt, ...]
    error: dict[str, Any] | None
    graph: str | None
    agent: str | None
    run_count: int
    created_at: datetime
    updated_at: datetime
    #: When values or interrupts were last written.
    state_updated_at: datetime
    ttl_minutes: float | None
    ttl_strategy: TtlStrategy | None
    #: What it goes on under while it is open.
    revision: str | None = None

    @property
    def ttl(self) -> Ttl | None:
        """How long it is kept; None: as the installation says."""
        return None if self.ttl_minutes is None else Ttl(self.ttl_minutes, self.ttl_strategy or "delete")


_THREAD_NAMES = [field.name for field in fields(Thread)]
THREAD_COLUMNS = ", ".join(_THREAD_NAMES)


def to_run(row: dict[str, Any]) -> Run:
    """A Run from a row with RUN_COLUMNS."""
    values = {field.name: row[field.name] for field in fields(Run)}
    values["status"] = RunStatus(row["status"])
    values["reason"] = Reason(row["reason"]) if row["reason"] else None
    values["cancel_action"] = CancelAction(row["cancel_action"]) if row["cancel_action"] else None
    values["spec"] = RunSpec.model_validate(row["spec"])
    return Run(**values)


def run_of_json(row: dict[str, Any]) -> Run:
    """A Run from a row of `runs` that was kept as JSON, whatever columns that had."""
    return _RUN.validate_python({field.name: row[field.name] for field in fields(Run)})


def to_thread(row: dict[str, Any]) -> Thread:
    """A Thread from a row with THREAD_COLUMNS."""
    values = {name: row[name] for name in _THREAD_NAMES}
    values["status"] = ThreadStatus(row["status"])
    values["interrupts"] = tuple(PendingInterrupt(**entry) for entry in row["interrupts"])
    return Thread(**values)
