"""The rules for one run, as tables: one row a case."""

import pytest

from relayrun_core.runner_protocol import AttemptState
from relayrun_core.states import CancelAction, Reason, RunStatus
from relayrun_operator.engine import Abandon, Assign, Cancel, Finish, Nothing, Wait, WaitReason, decide
from relayrun_operator.engine.model import RunnerView, RunView
from tests.operator.build import NOW, WALL, make_agent, make_held_run, make_run, make_runner, make_world, report

SILENT = {"last_heard": NOW - 11}
OTHERS = (make_runner("r8"), make_runner("r9"))


def brief(decision: object) -> tuple[object, ...]:
    """What a row of the table says of a decision."""
    match decision:
        case Assign(runner=runner, attempt=attempt):
            return ("assign", runner, attempt)
        case Abandon(runner=runner, attempt=attempt):
            return ("abandon", runner, attempt)
        case Cancel(runner=runner, attempt=attempt, action=action):
            return ("cancel", runner, attempt, action)
        case Finish(reason=reason):
            return ("finish", reason)
        case Wait(reason=reason):
            return ("wait", reason)
        case Nothing():
            return ("nothing",)
    raise AssertionError(decision)


def held_by(name: str = "r1", state: AttemptState = AttemptState.RUNNING, attempt: int = 1, **fields) -> RunnerView:
    return make_runner(name, {"run": report(attempt, state)}, **fields)


TABLE = [
    # what, the run, the runners, the decision
    ("new run, an idle runner", make_run(), (make_runner(),), ("assign", "r1", 1)),
    ("finished", make_run(status=RunStatus.SUCCESS), (make_runner(),), ("nothing",)),
    (
        "finished by its runner, which is about to say so",
        make_held_run(status=RunStatus.SUCCESS),
        (held_by(),),
        ("nothing",),
    ),
    (
        "finished from outside while it executes",
        make_held_run(status=RunStatus.TIMEOUT, attempt=2),
        (held_by(attempt=1),),
        ("abandon", "r1", 1),
    ),
    # cancelled
    ("cancelled in the queue", make_run(cancel=CancelAction.INTERRUPT), (), ("finish", Reason.CANCELLED)),
    ("deleted in the queue", make_run(deleted=True), (make_runner(),), ("finish", Reason.CANCELLED)),
    (
        "cancelled while it executes",
        make_held_run(cancel=CancelAction.ROLLBACK),
        (held_by(),),
        ("cancel", "r1", 1, CancelAction.ROLLBACK),
    ),
    (
        "deleted while it executes",
        make_held_run(deleted=True),
        (held_by(),),
        ("cancel", "r1", 1, CancelAction.INTERRUPT),
    ),
    (
        "cancelled, its runner knows",
        make_held_run(cancel=CancelAction.INTERRUPT),
        (held_by(state=AttemptState.CANCELLING),),
        ("nothing",),
    ),
    (
        "cancelled, its PUT is under way",
        make_held_run(cancel=CancelAction.INTERRUPT),
        (held_by(state=AttemptState.CLAIMING),),
        ("nothing",),
    ),
    (
        "cancelled, its runner is lost",
        make_held_run(cancel=CancelAction.INTERRUPT),
        (held_by(gone=True), make_runner("r2")),
        ("finish", Reason.CANCELLED),
    ),
    # deadlines
    (
        "active for too long",
        make_held_run(active_deadline=WALL),
        (held_by(),),
        ("finish", Reason.DEADLINE_EXCEEDED),
    ),
    (
        "queued for too long",
        make_run(starting_deadline=WALL - 1),
        (make_runner(),),
        ("finish", Reason.STARTING_DEADLINE_EXCEEDED),
    ),
    (
        "started, so that the starting deadline says nothing more",
        make_held_run(starting_deadline=WALL - 1),
        (held_by(),),
        ("nothing",),
    ),
    ("almost too long", make_held_run(active_deadline=WALL + 0.1), (held_by(),), ("nothing",)),
    # older attempts
    (
        "a zombie came back",
        make_held_run(attempt=2, runner="r2"),
        (held_by("r1", attempt=1), held_by("r2", attempt=2)),
        ("abandon", "r1", 1),
    ),
    (
        "a zombie that is still silent",
        make_held_run(attempt=2, runner="r2"),
        (held_by("r1", attempt=1, **SILENT), held_by("r2", attempt=2), *OTHERS),
        ("nothing",),
    ),
    (
        "a zombie that was told",
        make_held_run(attempt=2, runner="r2"),
        (held_by("r1", AttemptState.ABANDONED), held_by("r2", attempt=2)),
        ("nothing",),
    ),
    (
        "a zombie that is stopping",
        make_held_run(attempt=2, runner="r2"),
        (held_by("r1", AttemptState.CANCELLING), held_by("r2", attempt=2)),
        ("nothing",),
    ),
    # healthy
    ("executes", make_held_run(), (held_by(), *OTHERS), ("nothing",)),
    ("silent for 9 s", make_held_run(), (held_by(last_heard=NOW - 9), *OTHERS), ("nothing",)),
    ("its runner drains", make_held_run(), (held_by(draining=True), *OTHERS), ("nothing",)),
    # lost
    ("process gone", make_held_run(), (held_by(gone=True), make_runner("r2")), ("assign", "r2", 2)),
    ("runner forgotten", make_held_run(), (make_runner("r2"),), ("assign", "r2", 2)),
    ("silent for 11 s", make_held_run(), (held_by(**SILENT), *OTHERS), ("assign", "r8", 2)),
    ("debugged, silent", make_held_run(), (held_by(**SILENT, debugged=True), *OTHERS), ("nothing",)),
    ("restarted without the run", make_held_run(), (make_runner(holder="new"),), ("assign", "r1", 2)),
    ("the same process without the run", make_held_run(), (make_runner(),), ("assign", "r1", 2)),
    ("drained", make_held_run(), (held_by(state=AttemptState.DRAINED, draining=True), *OTHERS), ("assign", "r8", 2)),
    ("lost, and nowhere to go", make_held_run(), (held_by(gone=True),), ("wait", WaitReason.AGENT_NOT_READY)),
    ("runner not asked yet", make_held_run(), (make_runner(holder=None), *OTHERS), ("nothing",)),
    # waiting
    ("agent missing", make_run(agent="b"), (make_runner(),), ("wait", WaitReason.AGENT_NOT_FOUND)),
    ("no runner", make_run(), (), ("wait", WaitReason.AGENT_NOT_READY)),
    ("runner starts", make_run(), (make_runner(ready=False),), ("wait", WaitReason.AGENT_NOT_READY)),
    ("runner drains", make_run(), (make_runner(draining=True),), ("wait", WaitReason.AGENT_NOT_READY)),
    ("runner quiet", make_run(), (make_runner(last_heard=NOW - 6),), ("wait", WaitReason.AGENT_NOT_READY)),
    ("behind another", make_run(queued_behind="x"), (make_runner(),), ("wait", WaitReason.THREAD_BUSY)),
    ("backs off", make_run(not_before=WALL + 1), (make_runner(),), ("wait", WaitReason.BACK_OFF)),
    ("backed off", make_run(not_before=WALL), (make_runner(),), ("assign", "r1", 1)),
    ("all slots taken", make_run(), (make_runner(slots=0),), ("wait", WaitReason.NO_CAPACITY)),
    ("another's runner", make_run(), (make_runner(owner="x"),), ("wait", WaitReason.NO_CAPACITY)),
    ("its own runner", make_run(), (make_runner(), make_runner("r2", owner="run")), ("assign", "r2", 1)),
    ("no such graph", make_run(), (make_runner(graphs=frozenset({"h"})),), ("finish", Reason.INVALID_RUN)),
    (
        "only one runner has the graph",
        make_run(),
        (make_runner(graphs=frozenset({"h"})), make_runner("r2", graphs=frozenset({"g"}), slots=1)),
        ("assign", "r2", 1),
    ),
    # unanswered claims
    (
        "unanswered: the same number to the same process",
        make_run(attempt=3, runner="r2", holder="holder-r2", unanswered=True),
        (make_runner("r1"), make_runner("r2", runs={"x": report()}, draining=True)),
        ("assign", "r2", 3),
    ),
    (
        "unanswered: the process is gone",
        make_run(attempt=3, runner="r2", holder="holder-r2", unanswered=True),
        (make_runner("r1"), make_runner("r2", gone=True)),
        ("assign", "r1", 4),
    ),
    (
        "unanswered: the process was replaced",
        make_run(attempt=3, runner="r2", holder="before", unanswered=True),
        (make_runner("r1"), make_runner("r2")),
        ("assign", "r1", 4),
    ),
]


@pytest.mark.parametrize(("what", "run", "runners", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_the_first_rule_that_answers_wins(what: str, run: RunView, runners: tuple[RunnerView, ...], expected: tuple):
    assert brief(decide(run, make_world(*runners))) == expected


def test_a_suspended_agent_gets_nothing_new_but_keeps_what_runs():
    agents = {"a": make_agent(suspend=True)}
    assert brief(decide(make_run(), make_world(make_runner(), agents=agents))) == ("wait", WaitReason.AGENT_NOT_READY)
    assert decide(make_held_run(), make_world(held_by(), agents=agents)) == Nothing()


def test_an_unknown_graph_is_named_beside_those_that_are_there():
    decision = decide(make_run(graph="refund"), make_world(make_runner(graphs=frozenset({"triage", "support"}))))
    assert decision == Finish(Reason.INVALID_RUN, "agent a offers no graph refund; it offers: support, triage")


def test_an_assignment_says_whether_it_starts_or_resumes_and_whether_the_end_before_counts():
    started = decide(make_run(), make_world(make_runner()))
    resumed = decide(make_held_run(), make_world(held_by(gone=True), make_runner("r2")))
    moved = decide(make_held_run(excused=True), make_world(make_runner("r2")))
    assert (started.message, started.excused) == ("assigned to runner r1", False)
    assert (resumed.message, resumed.excused) == ("runner r1 is lost: attempt 2 goes on, on runner r2", False)
    assert (moved.message, moved.excused) == ("runner r1 drained: attempt 2 goes on, on runner r2", True)
