"""What the board knows of one attempt, and how the watch stream tells it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.db.finish import read_output
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus

#: What an AgentRun's status has room for.
LARGEST_OUTPUT_BYTES = 4096


class State(StrEnum):
    """What a run does here. Reserved is between a PUT and its claim, and is not told to anybody."""

    RESERVED = "Reserved"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    FINISHED = "Finished"
    DRAINED = "Drained"
    ABANDONED = "Abandoned"

    @property
    def active(self) -> bool:
        """Whether the run occupies a slot."""
        return self in (State.RESERVED, State.RUNNING, State.CANCELLING)


@dataclass(frozen=True)
class Entry:
    """One attempt of a run on this runner."""

    run_id: UUID
    attempt: int
    state: State
    thread_id: UUID | None = None
    graph: str | None = None
    status: str | None = None
    reason: str | None = None
    created_at: float | None = None  # Unix time of the run's creation
    started_at: float | None = None  # and of its first claim
    failed_attempts: int = 0
    message: str = ""
    #: Its payload came with its AgentRun, so its output may go there too.
    inline: bool = False
    output: bytes | None = None
    ended: float = 0.0  # on the board's clock
    alone: bool = False

    def as_json(self) -> dict[str, object]:
        """The entry as the watch stream tells it."""
        outcome: dict[str, object] | None = None
        if self.status:
            outcome = {"status": self.status, "reason": self.reason, "message": self.message}
            if self.output is not None:
                outcome["output"] = orjson.Fragment(self.output)
        return {
            "run_id": str(self.run_id),
            "thread_id": str(self.thread_id) if self.thread_id else None,
            "graph": self.graph,
            "attempt": self.attempt,
            "state": self.state.value,
            "started_at": self.started_at,
            "failed_attempts": self.failed_attempts,
            "outcome": outcome,
        }


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
