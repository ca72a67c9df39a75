"""How runs ended, for those who wait for them: what each finish has kept of its own run, whatever came after it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.runs import OutputKeys, output_of
from relayrun_core.states import Reason, RunStatus

# A run that was ended from outside has no values of its own, and one that ended long ago no longer: the thread's are
# told then, and its questions only while no run came after.
_READ = """
SELECT r.status, r.reason, r.message, r.error,
    coalesce(o.values, t.values::text, '{}') AS values,
    CASE WHEN o.run_id IS NULL THEN t.output_keys ELSE o.output_keys END AS output_keys,
    coalesce(o.questions, CASE WHEN t.run_count = r.number THEN (
        SELECT jsonb_agg(jsonb_build_object('value', i -> 'value', 'id', i -> 'id'))::text
        FROM jsonb_array_elements(t.interrupts) AS i) END, '[]') AS questions
FROM runs r JOIN threads t USING (thread_id) LEFT JOIN run_outcomes o USING (run_id) WHERE r.run_id = %s"""
_OUTPUT = "SELECT values, output_keys FROM run_outcomes WHERE run_id = %s"


@dataclass(frozen=True)
class RunOutcome:
    """An ended run. `values` is JSON: the graph's output; `questions` those it waits for an answer to, as told."""

    status: RunStatus
    reason: Reason | None
    message: str | None
    error: dict[str, Any] | None
    values: bytes
    questions: list[dict[str, Any]]


async def read_outcome(database: Database, run_id: UUID) -> RunOutcome | None:
    """How the run ended; None: there is no such run."""
    row = await database.fetch_one(_READ, (run_id,))
    if row is None:
        return None
    status = RunStatus(row["status"])
    return RunOutcome(
        status=status,
        reason=Reason(row["reason"]) if row["reason"] else None,
        message=row["message"],
        error=row["error"],
        values=_output(row),
        questions=orjson.loads(row["questions"]) if status is RunStatus.INTERRUPTED else [],
    )


async def read_output(database: Database, run_id: UUID) -> bytes | None:
    """What the run itself came to, as JSON; None: nothing, or it ended too long ago."""
    row = await database.fetch_one(_OUTPUT, (run_id,))
    return None if row is None else _output(row)


def _output(row: dict[str, Any]) -> bytes:
    keys: OutputKeys = row["output_keys"]
    return output_of(row["values"].encode(), keys)
