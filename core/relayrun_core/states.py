"""The states of runs and threads, and the reasons why a run ended.

```
          its time     claim                 finish
  delayed ─────▶ pending ──────────▶ running ──────────────▶ success | interrupted | error | timeout | cancelled
                    ▲                   │                        (a finished run never changes)
                    └───────────────────┘  drained, or backing off
```
"""

from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run is. `delayed`: accepted for later; `interrupted`: it waits for a person's input."""

    DELAYED = "delayed"
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    INTERRUPTED = "interrupted"
    ERROR = "error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Whether the run has ended for good."""
        return self not in (RunStatus.DELAYED, RunStatus.PENDING, RunStatus.RUNNING)


class ThreadStatus(StrEnum):
    """Where a thread is, in the words of the LangGraph Agent Server."""

    IDLE = "idle"
    BUSY = "busy"
    INTERRUPTED = "interrupted"
    ERROR = "error"


class Reason(StrEnum):
    """Why a run ended, in the words of Kubernetes conditions."""

    #: The graph reached its end.
    SUCCEEDED = "Succeeded"
    #: The graph waits for an answer: a later run of its thread brings it.
    WAITING_FOR_INPUT = "WaitingForInput"
    #: A node of the graph raised an exception.
    GRAPH_ERROR = "GraphError"
    #: The processes that executed the run died too often without progress.
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    #: The run was active for longer than `activeDeadlineSeconds`.
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    #: The run waited for a runner for longer than `startingDeadlineSeconds`.
    STARTING_DEADLINE_EXCEEDED = "StartingDeadlineExceeded"
    #: Somebody cancelled the run, or deleted its AgentRun.
    CANCELLED = "Cancelled"
    #: The run cannot be executed: its graph, its thread or its input does not exist or is invalid.
    INVALID_RUN = "InvalidRun"

    @property
    def status(self) -> RunStatus:
        """The status of a run that ended for this reason."""
        return _STATUS_OF_REASON.get(self, RunStatus.ERROR)


class CancelAction(StrEnum):
    """What becomes of a cancelled run's work: kept up to its last step, or undone."""

    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"


_STATUS_OF_REASON = {
    Reason.SUCCEEDED: RunStatus.SUCCESS,
    Reason.WAITING_FOR_INPUT: RunStatus.INTERRUPTED,
    Reason.DEADLINE_EXCEEDED: RunStatus.TIMEOUT,
    Reason.STARTING_DEADLINE_EXCEEDED: RunStatus.TIMEOUT,
    Reason.CANCELLED: RunStatus.CANCELLED,
}
