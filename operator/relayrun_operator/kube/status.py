"""An AgentRun's status, derived from what is known of its run. Pure.

```
  Queued ──▶ Running ──▶ Succeeded | WaitingForInput | Failed | Cancelled
    ▲           │ (its runner is lost, or drains)
    └───────────┘
```
`phase` and `reason` are for the columns; nobody reads them back.
"""

from dataclasses import dataclass
from typing import Any

from relayrun_core.kinds.agentrun import Phase
from relayrun_core.printable import one_line
from relayrun_core.states import Reason
from relayrun_operator.kube import reasons
from relayrun_operator.kube.conditions import condition, seconds, settle, timestamp

_LONGEST_MESSAGE = 1024

#: More than any run has had: a person wrote it. The claim says how many there were.
_MOST_ATTEMPTS = 2**30

#: The phase, and the condition that becomes True beside Finished. All other reasons are failures.
_ENDS: dict[Reason, tuple[Phase, str]] = {
    Reason.SUCCEEDED: ("Succeeded", reasons.COMPLETE),
    Reason.WAITING_FOR_INPUT: ("WaitingForInput", reasons.WAITING),
    Reason.CANCELLED: ("Cancelled", reasons.FAILED),
}
_FAILURE: tuple[Phase, str] = ("Failed", reasons.FAILED)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, at `at`; `output` only for a run with inline input, and only when it is small.

    `already`: the AgentRun was there before, and this is the end that its run had, at `completed_at`. `continued`: a
    later run of the thread has begun since.
    """

    reason: Reason
    message: str
    at: float
    output: dict[str, Any] | None = None
    already: bool = False
    completed_at: float | None = None
    continued: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a run. Times are seconds since the epoch. `assigned` None: nothing was decided yet.

    `thread_id` None: the thread has a name, and no runner has said yet which that is.
    """

    run_id: str
    thread_id: str | None
    generation: int | None = None
    assigned: bool | None = None
    assigned_reason: str = ""
    assigned_message: str = ""
    runner: str | None = None
    #: The runner of the attempt before; and the last death of one of both, with the reason that Kubernetes or it gave.
    former: str | None = None
    death: tuple[str, str] | None = None
    attempts: int = 0
    failed_attempts: int = 0
    started_at: float | None = None
    ending: Ending | None = None


def run_status(facts: Facts, before: dict[str, Any], now: float) -> dict[str, Any]:
    """The whole status, given the one that the API server has."""
    ending = facts.ending
    message = ending.message if ending else assigned_message(facts)
    status: dict[str, Any] = {
        "observedGeneration": facts.generation,
        "phase": _phase(facts),
        "reason": _reason(facts),
        "runId": facts.run_id,
        "threadId": facts.thread_id,
        "runnerName": facts.runner,
        "attempts": facts.attempts,
        "failedAttempts": facts.failed_attempts,
        "startTime": timestamp(facts.started_at) if facts.started_at else None,
        "completionTime": timestamp(ending.completed_at or ending.at) if ending else None,
        "message": one_line(message)[:_LONGEST_MESSAGE],
        "output": ending.output if ending else None,
        "conditions": settle(_conditions(facts, now), before.get("conditions") or ()),
    }
    return {key: value for key, value in status.items() if value is not None}


def assigned_message(facts: Facts) -> str:
    """Who executes the run or why nobody does, and why the runner died that had it before."""
    if facts.death is None or facts.death[0] not in (facts.runner, facts.former):
        return facts.assigned_message
    return f"{facts.assigned_message} ({reasons.DIED.format(runner=facts.death[0], why=facts.death[1])})"


def facts_of(status: dict[str, Any], run_id: str, thread_id: str | None, generation: int | None) -> Facts:
    """What an earlier operator wrote down, for the one that goes on."""
    assigned = next((c for c in status.get("conditions") or () if c["type"] == reasons.ASSIGNED), None)
    attempts = status.get("attempts") or 0
    return Facts(
        run_id=run_id,
        thread_id=thread_id,
        generation=generation,
        assigned=None if assigned is None else assigned["status"] == "True",
        assigned_reason=assigned["reason"] if assigned else "",
        assigned_message=assigned["message"] if assigned else "",
        runner=status.get("runnerName"),
        attempts=attempts if 0 <= attempts <= _MOST_ATTEMPTS else 0,
        failed_attempts=status.get("failedAttempts") or 0,
        started_at=seconds(status.get("startTime")),
    )


def is_finished(status: dict[str, Any]) -> bool:
    """Whether the run has ended for good."""
    return _holds(status, reasons.FINISHED)


def finished_at(status: dict[str, Any]) -> float:
    """When the object was told of its end, in seconds since the epoch; 0: it was not."""
    told = next((c for c in status.get("conditions") or () if c["type"] == reasons.FINISHED), None)
    return (seconds(told["lastTransitionTime"]) or 0.0) if told else 0.0


def is_waiting(status: dict[str, Any]) -> bool:
    """Whether the run has paused for an answer that nobody has given yet."""
    return _holds(status, reasons.WAITING)


def continued(status: dict[str, Any], by: str, now: float) -> dict[str, Any]:
    """The status of a paused run whose thread the AgentRun `by` goes on with."""
    goes_on = _goes_on(reasons.CONTINUED_BY.format(name=by), status.get("observedGeneration"), now)
    return {**status, "conditions": settle(goes_on, status["conditions"])}


def _holds(status: dict[str, Any], kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions") or ())


def _phase(facts: Facts) -> Phase:
    if facts.ending is None:
        return "Running" if facts.assigned else "Queued"
    return _ENDS.get(facts.ending.reason, _FAILURE)[0]


def _reason(facts: Facts) -> str | None:
    if facts.ending is None:
        return facts.assigned_reason or None
    return reasons.ALREADY_EXECUTED if facts.ending.already else facts.ending.reason.value


def _conditions(facts: Facts, now: float) -> list[dict[str, Any]]:
    wanted, generation = [], facts.generation
    if facts.assigned is not None:
        at = (facts.started_at if facts.assigned else None) or now
        wanted.append(
            condition(reasons.ASSIGNED, facts.assigned, facts.assigned_reason, assigned_message(facts), generation, at)
        )
    ending = facts.ending
    if ending is None:
        reason, message = facts.assigned_reason or "Queued", assigned_message(facts) or reasons.WAITS_TO_BE_SEEN
        return [*wanted, condition(reasons.READY, False, reason, message, generation, now)]
    kind = _ENDS.get(ending.reason, _FAILURE)[1]

    def told(each: str, holds: bool = True) -> dict[str, Any]:
        return condition(each, holds, ending.reason.value, ending.message, generation, ending.at)

    wanted += [told(kind), told(reasons.FINISHED)]
    if ending.continued:
        return settle(_goes_on(reasons.CONTINUED_BY_RUN, generation, ending.at), wanted)
    wanted.append(told(reasons.READY, kind == reasons.COMPLETE))
    if kind == reasons.FAILED:
        wanted.append(told(reasons.STALLED))
    return wanted


def _goes_on(message: str, generation: int | None, at: float) -> list[dict[str, Any]]:
    return [
        condition(reasons.WAITING, False, reasons.CONTINUED, message, generation, at),
        condition(reasons.READY, True, reasons.CONTINUED, message, generation, at),
    ]
