"""Accepted runs of the agents in these tests."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from relayrun_core.database import Database
from relayrun_core.db.runs import create_run
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, RunSpec


async def accepted(database: Database, graph: str = "steps", *, thread_id: UUID | None = None, **spec: Any) -> UUID:
    """The id of a new pending run, on a thread of its own unless told."""
    new = NewRun(new_run_id(), thread_id or uuid4(), "default", graph, RunSpec(**spec))
    await create_run(database, new)
    return new.run_id
