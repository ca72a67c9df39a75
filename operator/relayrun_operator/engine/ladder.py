"""The rules for one run. They are asked in order, and the first answer wins.

finished → deleted or cancelled → past a deadline → reported in an older attempt → running and healthy → its runner
was not asked yet → (from here on its runner is lost, or it has none) agent missing → thread busy → backing off → its
claim was not answered → agent not ready → graph unknown → no slot, or assign.
"""

from collections.abc import Callable

from relayrun_core.runner_protocol import AttemptState
from relayrun_core.states import CancelAction, Reason
from relayrun_operator.engine import reasons
from relayrun_operator.engine.decisions import Abandon, Assign, Cancel, Decision, Finish, Nothing, Wait
from relayrun_operator.engine.loss import is_held
from relayrun_operator.engine.model import RunnerView, RunView
from relayrun_operator.engine.placing import offers, place, ready_runners
from relayrun_operator.engine.reasons import AssignReason, WaitReason
from relayrun_operator.engine.world import World

Rule = Callable[[RunView, World], Decision | None]


def decide(run: RunView, world: World) -> Decision:
    """What should happen to the run now."""
    for rule in RULES:
        decision = rule(run, world)
        if decision is not None:
            return decision
    return Nothing()


def finished(run: RunView, world: World) -> Decision | None:
    """A finished run never changes. An attempt that still works on it is stopped."""
    if not run.status.finished:
        return None
    return older_attempt_is_reported(run, world) or Nothing()


def cancelled(run: RunView, world: World) -> Decision | None:
    """Its runner cancels it, so that the graph can clean up. A run without a runner ends here."""
    if run.cancel is None and not run.deleted:
        return None
    holder = _healthy_holder(run, world)
    if holder is None:
        return Finish(Reason.CANCELLED, reasons.CANCELLED if run.cancel else reasons.DELETED)
    if holder.runs[run.run_id].state is AttemptState.RUNNING:
        return Cancel(holder.name, run.attempt, run.cancel or CancelAction.INTERRUPT)
    return Nothing()


def deadline_is_over(run: RunView, world: World) -> Decision | None:
    """The operator enforces deadlines, because a runner may hang."""
    if run.active_deadline is not None:
        if world.wall >= run.active_deadline:
            return Finish(Reason.DEADLINE_EXCEEDED, reasons.DEADLINE)
    elif run.starting_deadline is not None and world.wall >= run.starting_deadline:
        return Finish(Reason.STARTING_DEADLINE_EXCEEDED, reasons.STARTING_DEADLINE)
    return None


def older_attempt_is_reported(run: RunView, world: World) -> Decision | None:
    """An older attempt that came back can write nothing, but can still call tools: stop it, once."""
    for runner in world.runners.values():
        report = runner.runs.get(run.run_id)
        older = report is not None and report.attempt < run.attempt and report.state is AttemptState.RUNNING
        if report and older and runner.name not in world.lost:
            message = reasons.OLDER_ATTEMPT.format(attempt=report.attempt, runner=runner.name)
            return Abandon(runner.name, report.attempt, message)
    return None


def runs_on_a_healthy_runner(run: RunView, world: World) -> Decision | None:
    """Nothing to do while its runner is heard and reports the run."""
    return Nothing() if _healthy_holder(run, world) else None


def runner_was_not_asked_yet(run: RunView, world: World) -> Decision | None:
    """After a restart of the operator a runner may have the run: its first list, or its silence, decides."""
    runner = world.runners.get(run.runner or "")
    if runner and runner.holder is None and runner.name not in world.lost:
        return Nothing()
    return None


def agent_is_missing(run: RunView, world: World) -> Decision | None:
    """Deleting an agent leaves its runs waiting for one of that name."""
    if run.agent in world.agents:
        return None
    return Wait(WaitReason.AGENT_NOT_FOUND, reasons.AGENT_NOT_FOUND.format(agent=run.agent))


def thread_is_busy(run: RunView, world: World) -> Decision | None:  # noqa: ARG001 - a rule's shape
    """A thread's runs execute one after the other. The end of one wakes the next."""
    if run.queued_behind is None:
        return None
    return Wait(WaitReason.THREAD_BUSY, reasons.THREAD_BUSY.format(other=run.queued_behind))


def backs_off(run: RunView, world: World) -> Decision | None:
    """After an attempt without progress there is a pause, which the claim set."""
    if run.not_before is None or run.not_before <= world.wall:
        return None
    sentence = reasons.NOT_ANSWERED.format(runner=run.runner) if run.unanswered else reasons.BACK_OFF
    return Wait(WaitReason.BACK_OFF, sentence, until=run.not_before)


def claim_was_not_answered(run: RunView, world: World) -> Decision | None:
    """The claim may have committed. The same attempt may go only to the same process, where it is idempotent."""
    runner = world.runners.get(run.runner or "")
    if not run.unanswered or runner is None or runner.name in world.lost or runner.holder != run.holder:
        return None
    return _assign(run, runner, run.attempt)


def agent_is_not_ready(run: RunView, world: World) -> Decision | None:
    """No runner is ready to take it, or the agent is suspended."""
    if world.agents[run.agent].suspend:
        return Wait(WaitReason.AGENT_NOT_READY, reasons.AGENT_SUSPENDED.format(agent=run.agent))
    if not ready_runners(run.agent, world):
        return Wait(WaitReason.AGENT_NOT_READY, reasons.AGENT_NOT_READY.format(agent=run.agent))
    return None


def graph_is_unknown(run: RunView, world: World) -> Decision | None:
    """No ready runner has the graph, and waiting does not help."""
    runners = ready_runners(run.agent, world)
    if any(offers(runner, run.graph) for runner in runners):
        return None
    offered = ", ".join(sorted(frozenset().union(*(runner.graphs for runner in runners))))
    message = reasons.UNKNOWN_GRAPH.format(agent=run.agent, graph=run.graph, offered=offered)
    return Finish(Reason.INVALID_RUN, message)


def assign_or_wait_for_a_slot(run: RunView, world: World) -> Decision | None:
    """The next attempt goes to the best runner with room."""
    runner = place(run, world.agents[run.agent], ready_runners(run.agent, world), world)
    if runner is not None:
        return _assign(run, runner, run.attempt + 1)
    sentence = reasons.NO_IDLE_RUNNER if run.suspect else reasons.NO_CAPACITY
    return Wait(WaitReason.NO_CAPACITY, sentence.format(agent=run.agent))


RULES: tuple[Rule, ...] = (
    finished,
    cancelled,
    deadline_is_over,
    older_attempt_is_reported,
    runs_on_a_healthy_runner,
    runner_was_not_asked_yet,
    agent_is_missing,
    thread_is_busy,
    backs_off,
    claim_was_not_answered,
    agent_is_not_ready,
    graph_is_unknown,
    assign_or_wait_for_a_slot,
)


def _healthy_holder(run: RunView, world: World) -> RunnerView | None:
    runner = world.runners.get(run.runner or "")
    if runner is None or runner.name in world.lost or not is_held(run, runner):
        return None
    return runner


def _assign(run: RunView, runner: RunnerView, attempt: int) -> Assign:
    reason = AssignReason.RUNNING if attempt == 1 else AssignReason.RESUMING
    if attempt == 1:
        sentence = reasons.ASSIGNED
    elif run.runner is None:
        sentence = reasons.GOES_ON
    else:
        sentence = reasons.MOVED if run.excused else reasons.RESUMED
    message = sentence.format(before=run.runner, attempt=attempt, runner=runner.name)
    return Assign(runner.name, attempt, reason, message, excused=run.excused, alone=run.suspect)
