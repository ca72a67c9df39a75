"""What the board knows of one attempt, and how the watch stream tells it."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import orjson

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
