"""Decides for many runs at once, in order. Each decision sees the slots that earlier ones took."""

from collections.abc import Iterable
from dataclasses import replace

from relayrun_core.runner_protocol import AttemptState
from relayrun_operator.engine.decisions import Assign, Decision, Wait
from relayrun_operator.engine.ladder import decide
from relayrun_operator.engine.model import Report, RunView, Waiting
from relayrun_operator.engine.reasons import WaitReason
from relayrun_operator.engine.world import World


def plan(changed: Iterable[RunView], world: World, waiting: Iterable[RunView] = ()) -> list[tuple[RunView, Decision]]:
    """Decide for the `changed` runs and, when room may have appeared, those `waiting` for it; oldest first.

    Once an agent's runners are full, its other waiting runs are skipped, so a long queue costs little.
    """
    queue = {run.run_id: run for run in waiting}
    certain = {run.run_id: run for run in changed}
    full: set[tuple[str, str, bool]] = set()
    decided: list[tuple[RunView, Decision]] = []
    for run in sorted((queue | certain).values(), key=lambda run: run.order):
        kind = (run.agent, run.graph, run.suspect)
        if kind in full and run.run_id not in certain:
            continue
        decision = decide(run, world)
        decided.append((run, decision))
        match decision:
            case Assign():
                world = _with_assignment(run, decision, world, waited=run.run_id in queue)
            case Wait(reason=WaitReason.NO_CAPACITY):
                full.add(kind)
            case _:
                pass
    return decided


def _with_assignment(run: RunView, assign: Assign, world: World, *, waited: bool) -> World:
    report = Report(assign.attempt, AttemptState.CLAIMING, alone=assign.alone)
    world = world.with_runner(world.runners[assign.runner].with_report(run.run_id, report))
    if not waited:
        return world
    before = world.waiting_for(run.agent)
    after = Waiting(max(0, before.suspects - run.suspect), max(0, before.others - (not run.suspect)))
    return replace(world, waiting={**world.waiting, run.agent: after})
