"""The decisions that the engine can make about one run."""

from dataclasses import dataclass

from relayrun_core.states import CancelAction, Reason
from relayrun_operator.engine.reasons import AssignReason, WaitReason


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Assign:
    """Give the attempt to the runner. `alone`: the runner takes nothing else meanwhile."""

    runner: str
    attempt: int
    reason: AssignReason
    message: str
    excused: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Abandon:
    """Tell the runner to stop an attempt that no longer holds its run. The run is not changed."""

    runner: str
    attempt: int
    message: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Tell the runner to cancel the run's attempt; it finishes the run itself."""

    runner: str
    attempt: int
    action: CancelAction


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run from outside: no runner does it."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing yet. `until`: when to decide again at the latest, in seconds since the epoch."""

    reason: WaitReason
    message: str
    until: float | None = None


Decision = Nothing | Assign | Abandon | Cancel | Finish | Wait
