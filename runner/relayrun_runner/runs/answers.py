"""What the world is answered when it asks for a run that is here, or has ended."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.db.outcomes import read_output
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus
from relayrun_runner.runs.entries import LARGEST_OUTPUT_BYTES, Entry, State


@dataclass(frozen=True)
class Answer:
    """An HTTP status and a JSON body."""

    status: int
    body: dict[str, Any]


def known(entry: Entry | None, run_id: UUID, attempt: int) -> Answer:
    """The answer about an attempt that was asked for before."""
    if entry is None or entry.state in (State.DRAINED, State.ABANDONED):
        return Answer(409, {"reason": "Stale", "attempt": attempt})
    thread = str(entry.thread_id) if entry.thread_id else None
    if entry.state is State.FINISHED:
        outcome = {"status": entry.status, "reason": entry.reason}
        return Answer(200, {"finished": True, "thread_id": thread, "outcome": outcome})
    return Answer(202, {"run_id": str(run_id), "thread_id": thread, "attempt": attempt})


async def ended(database: Database, run: Run, *, inline: bool) -> Answer:
    """The answer about a run that has ended. `inline`: its text may go to its AgentRun."""
    detail = str((run.error or {}).get("message") or "") if inline else ""
    outcome: dict[str, Any] = {
        "status": run.status.value,
        "reason": run.reason and run.reason.value,
        "message": ": ".join(filter(None, (run.message, detail))),
    }
    if inline and run.status is RunStatus.SUCCESS:
        output = await read_output(database, run.run_id)
        if output is not None and len(output) <= LARGEST_OUTPUT_BYTES:
            outcome["output"] = orjson.loads(output)
    return Answer(
        200,
        {
            "finished": True,
            "thread_id": str(run.thread_id),
            "attempt": run.attempt,
            "failed_attempts": run.failed_attempts,
            "outcome": outcome,
        },
    )
