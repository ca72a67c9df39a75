"""An entry of the run table, and its forms in the watch stream and in answers."""

from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.db.finish import read_output
from relayrun_core.db.identities import Earlier
from relayrun_core.runner_protocol import (
    Accepted,
    AlreadyFinished,
    AssignAnswer,
    AttemptState,
    EarlierRun,
    OutcomeBody,
    RunReport,
    Stale,
    Unavailable,
)
from relayrun_core.runs import Run
from relayrun_core.states import Reason, RunStatus

R = TypeVar("R", bound=RunReport)

#: What an AgentRun's status has room for.
LARGEST_OUTPUT_BYTES = 4096


@dataclass(frozen=True)
class Entry:
    """One attempt of a run on this runner."""

    run_id: UUID
    attempt: int
    state: AttemptState
    thread_id: UUID | None = None
    graph: str | None = None
    status: RunStatus | None = None
    reason: Reason | None = None
    created_at: float | None = None  # Unix time of the run's creation
    started_at: float | None = None  # and of its first claim
    failed_attempts: int = 0
    message: str = ""
    #: Its payload came with its AgentRun, so its output may go there too.
    inline: bool = False
    output: bytes | None = None
    output_bytes: int | None = None  # of one that is too large to be told
    ended: float = 0.0  # on the table's clock
    alone: bool = False

    def report(self, kind: type[R]) -> R:
        """The attempt as the watch stream has it, in a list or in a line of its own."""
        outcome = None
        if self.status:
            output = None if self.output is None else orjson.Fragment(self.output)
            outcome = OutcomeBody(
                status=self.status,
                reason=self.reason,
                message=self.message,
                output=output,
                output_bytes=self.output_bytes,
            )
        return kind(
            run_id=str(self.run_id),
            attempt=self.attempt,
            state=self.state,
            thread_id=str(self.thread_id) if self.thread_id else None,
            graph=self.graph,
            started_at=self.started_at,
            failed_attempts=self.failed_attempts,
            outcome=outcome,
        )


def fitting(output: bytes | None) -> tuple[bytes | None, int | None]:
    """An output as far as it may be told: itself, or, when it is too large, its size."""
    if output is None or len(output) <= LARGEST_OUTPUT_BYTES:
        return output, None
    return None, len(output)


Answer = AssignAnswer | Unavailable


def known(entry: Entry | None, run_id: UUID, attempt: int) -> Answer:
    """The answer about an attempt that was asked for before."""
    if entry is None or entry.state in (AttemptState.DRAINED, AttemptState.ABANDONED):
        return Stale(attempt=attempt)
    thread = str(entry.thread_id) if entry.thread_id else None
    if entry.status is not None:
        return AlreadyFinished(thread_id=thread, outcome=OutcomeBody(status=entry.status, reason=entry.reason))
    return Accepted(run_id=str(run_id), thread_id=thread, attempt=attempt)


async def ended(database: Database, run: Run, *, inline: bool) -> AlreadyFinished:
    """The answer about a run that has ended. `inline`: its text may go to its AgentRun."""
    detail = str((run.error or {}).get("message") or "") if inline else ""
    output, size = None, None
    if inline and run.status is RunStatus.SUCCESS:
        output, size = fitting(await read_output(database, run.run_id))
    message = ": ".join(filter(None, (run.message, detail)))
    return AlreadyFinished(
        thread_id=str(run.thread_id),
        attempt=run.attempt,
        failed_attempts=run.failed_attempts,
        outcome=OutcomeBody(
            status=run.status,
            reason=run.reason,
            message=message,
            output=None if output is None else orjson.loads(output),
            output_bytes=size,
        ),
    )


async def ended_before(database: Database, earlier: Earlier) -> AlreadyFinished:
    """The answer about an AgentRun that was there before, and whose run has ended."""
    run, run_id = earlier.run, str(earlier.run_id)
    if run is None:
        reason = earlier.reason or Reason.CANCELLED
        outcome = OutcomeBody(status=reason.status, reason=reason, message="its thread has been deleted since")
        return AlreadyFinished(outcome=outcome, earlier=EarlierRun(run_id=run_id))
    before = EarlierRun(
        run_id=run_id,
        started_at=run.started_at.timestamp() if run.started_at else None,
        finished_at=run.finished_at.timestamp() if run.finished_at else None,
        continued=earlier.continued,
    )
    return (await ended(database, run, inline=True)).model_copy(update={"earlier": before})
