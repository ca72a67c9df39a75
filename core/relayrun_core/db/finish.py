"""Ends runs, each exactly once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import orjson
import psycopg

from relayrun_core import storable
from relayrun_core.database import Database
from relayrun_core.db.fence import breaking_frozen_holders, is_stale
from relayrun_core.db.journal import Event, append
from relayrun_core.db.notify import EVENTS_CHANNEL, NOTIFY_BOTH, RUNS_CHANNEL, Hint, notify_params
from relayrun_core.errors import RunFinished, RunNotFound, StaleAttempt
from relayrun_core.runs import Outcome, OutputKeys, output_of
from relayrun_core.states import Reason, RunStatus
from relayrun_core.storable import storable_text

_FINISH = """
SELECT relayrun_finish(%(run)s, %(attempt)s, %(status)s, %(reason)s, %(message)s, %(values)s,
                          %(interrupts)s::jsonb, %(error)s::jsonb, %(checkpoint)s, %(output_keys)s::jsonb,
                          %(questions)s, %(head)s, %(by)s, %(head_values)s) AS answer"""


async def finish(
    database: Database,
    run_id: UUID,
    attempt: int,
    outcome: Outcome,
    events: Sequence[Event] = (),
    hint: Hint | None = None,
) -> None:
    """End the run with its attempt's outcome, after its last `events`. A second call succeeds and changes nothing.

    `hint` queues the notifications; without it they are sent before this returns.
    An accepted cancel wins: the run is then cancelled, whatever the outcome says. Raises StaleAttempt when the
    attempt no longer holds the run, RunNotFound.
    """
    try:
        answer = await _finish(database, run_id, attempt, outcome, events, hint)
    except psycopg.Error as error:
        if not is_stale(error):
            raise
        # The events were refused: another attempt has the run, or this one has finished it already.
        answer = await _finish(database, run_id, attempt, outcome, (), hint)
    if answer in ("Stale", "AlreadyFinished"):
        raise StaleAttempt(f"attempt {attempt} does not hold run {run_id}: another attempt has taken it over")


async def finish_from_outside(database: Database, run_id: UUID, outcome: Outcome) -> None:
    """End the run for a deadline, a cancel or because it is invalid. No runner can write to it afterwards.

    Raises RunFinished when it had ended before, RunNotFound.
    """
    if await _finish(database, run_id, None, outcome) == "AlreadyFinished":
        raise RunFinished(f"run {run_id} has ended already")


async def _finish(
    database: Database,
    run_id: UUID,
    attempt: int | None,
    outcome: Outcome,
    events: Sequence[Event] = (),
    hint: Hint | None = None,
) -> str:
    params = {"run": run_id, "attempt": attempt, **outcome_columns(outcome)}

    async def finish_once() -> dict[str, Any] | None:
        async with database.connection() as conn:
            if events and attempt is not None:
                await append(conn, run_id, attempt, events)
            row = await (await conn.execute(_FINISH.encode(), params)).fetchone()
            if hint is None:
                await conn.execute(NOTIFY_BOTH.encode(), notify_params(run_id))
            return row

    row = await breaking_frozen_holders(database, run_id, lambda: database.twice(finish_once))
    if hint is not None:
        hint(RUNS_CHANNEL, run_id)
        hint(EVENTS_CHANNEL, run_id)
    answer = str(row["answer"]) if row else "NotFound"
    if answer == "NotFound":
        raise RunNotFound(f"run not found: {run_id}")
    return answer


def outcome_columns(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as parameters of a statement, each as text."""
    interrupts, questions, head = outcome.interrupts, outcome.questions, outcome.head
    if questions is None and interrupts is not None:
        questions = storable.dumps([{"value": entry.value, "id": entry.id} for entry in interrupts])
    return {
        "status": outcome.reason.status.value,
        "reason": outcome.reason.value,
        "message": storable_text(outcome.message),
        "values": _text(outcome.values),
        "interrupts": None if interrupts is None else _json([asdict(entry) for entry in interrupts]),
        "error": None if outcome.error is None else _json(outcome.error),
        "checkpoint": outcome.checkpoint_id,
        "output_keys": None if outcome.output_keys is None else _json(outcome.output_keys),
        "questions": _text(questions),
        "head": _text(head.state) if head else None,
        "by": head.made_by if head else None,
        "head_values": _text(head.values) if head else None,
    }


def _json(value: Any) -> str:
    return storable.dumps(value).decode()


def _text(json: bytes | None) -> str | None:
    return None if json is None else json.decode()


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
    """Return how the run ended; None when there is no such run."""
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
    """Return the run's own output as JSON; None when it has none, or when it ended too long ago."""
    row = await database.fetch_one(_OUTPUT, (run_id,))
    return None if row is None else _output(row)


def _output(row: dict[str, Any]) -> bytes:
    keys: OutputKeys = row["output_keys"]
    return output_of(row["values"].encode(), keys)
