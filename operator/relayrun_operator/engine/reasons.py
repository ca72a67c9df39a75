"""The reasons why a run waits, and their messages. `relayrun_core.states.Reason` has the reasons of ends.

| reason | condition `Assigned` | meaning |
|---|---|---|
| NoCapacity | False | every slot of the agent's ready runners is taken |
| ThreadBusy | False | an older run of the same thread has not finished |
| AgentNotReady | False | no runner of the agent is ready, or the agent is suspended |
| AgentNotFound | False | there is no agent of that name |
| BackOff | False | the last attempt died without progress |
| Running | True | first attempt |
| Resuming | True | a later attempt continues from the last checkpoint |
"""

from enum import StrEnum
from typing import assert_never


class WaitReason(StrEnum):
    """Why a run is not being placed just now."""

    NO_CAPACITY = "NoCapacity"
    THREAD_BUSY = "ThreadBusy"
    AGENT_NOT_READY = "AgentNotReady"
    AGENT_NOT_FOUND = "AgentNotFound"
    BACK_OFF = "BackOff"

    @property
    def needs_runner(self) -> bool:
        """Whether the run counts as queued and is decided about again when a runner may have room."""
        match self:
            case WaitReason.NO_CAPACITY | WaitReason.AGENT_NOT_READY | WaitReason.AGENT_NOT_FOUND:
                return True
            case WaitReason.THREAD_BUSY | WaitReason.BACK_OFF:
                return False
            case never:
                assert_never(never)


class AssignReason(StrEnum):
    """Whether an assignment starts a run or goes on with it."""

    RUNNING = "Running"
    RESUMING = "Resuming"


NO_CAPACITY = "every slot of agent {agent} is taken: it waits for one"
NO_IDLE_RUNNER = "its last attempt died without progress in company: it waits for a runner of agent {agent} to itself"
THREAD_BUSY = "run {other} of the same thread comes first"
AGENT_NOT_FOUND = "there is no agent {agent}: create it, and the run starts"
AGENT_NOT_READY = "no runner of agent {agent} is ready"
AGENT_SUSPENDED = "agent {agent} is suspended: nothing is assigned until suspend is false"
NOT_ANSWERED = "runner {runner} has not answered: it is asked again"
BACK_OFF = "the last attempt died without progress: the next one starts after a pause"

ASSIGNED = "assigned to runner {runner}"
GOES_ON = "attempt {attempt} goes on, on runner {runner}"
RESUMED = "runner {before} is lost: attempt {attempt} goes on, on runner {runner}"
MOVED = "runner {before} drained: attempt {attempt} goes on, on runner {runner}"

CANCELLED = "the run was cancelled"
DELETED = "the run was deleted"
DEADLINE = "the run was active for longer than activeDeadlineSeconds"
STARTING_DEADLINE = "the run waited for longer than startingDeadlineSeconds: no runner could take it"
OLDER_ATTEMPT = "attempt {attempt} on runner {runner} is not the run's attempt any more"
UNKNOWN_GRAPH = "agent {agent} offers no graph {graph}; it offers: {offered}"
NO_SUCH_GRAPH = "runner {runner} has no graph {graph}"
