"""Which runner takes a run: the newest code first, then the least loaded; a suspect gets one for itself."""

from relayrun_operator.engine.loss import is_quiet
from relayrun_operator.engine.model import AgentView, RunnerView, RunView
from relayrun_operator.engine.world import World


def ready_runners(agent: str, world: World) -> list[RunnerView]:
    """The agent's runners that take new runs."""
    return [
        runner
        for runner in world.runners.values()
        if runner.agent == agent
        and runner.ready
        and not runner.draining
        and runner.holder is not None
        and runner.name not in world.lost
        and not is_quiet(runner, world.liveness)
    ]


def offers(runner: RunnerView, graph: str) -> bool:
    """Whether the runner has the graph; one that has not told its graphs may have it.

    A run that names none gets the agent's only graph, which is the runner's to check.
    """
    return not graph or not runner.graphs or graph in runner.graphs


def place(run: RunView, agent: AgentView, runners: list[RunnerView], world: World) -> RunnerView | None:
    """The runner, of the agent's ready `runners`, that should take the run now, or None."""
    able = [r for r in runners if offers(r, run.graph) and r.owner in (None, run.run_id)]
    if run.suspect:
        open_ = [] if _suspects_have_their_share(runners, world) else [r for r in able if r.load == 0 and r.free > 0]
    else:
        kept = _kept_for_suspects(runners, world)
        open_ = [r for r in able if r.free > 0 and r.name not in kept]
    return min(open_, key=lambda r: (r.owner is None, r.generation != agent.generation, r.load, r.name), default=None)


def _suspects_have_their_share(runners: list[RunnerView], world: World) -> bool:
    """Suspects get at most half of the pool while others wait; the only runner they get when it is idle."""
    taken = sum(runner.exclusive for runner in runners)
    return _others_wait(runners, world) and taken >= max(1, len(runners) // 2)


def _kept_for_suspects(runners: list[RunnerView], world: World) -> set[str]:
    """Runners that take nothing new until a suspect fits in: a busy pool would never have an idle one.

    The only runner is never kept: others would starve behind the one run it might lose.
    """
    if not runners or len(runners) == 1:
        return set()
    suspects = world.waiting_for(runners[0].agent).suspects
    shared = sorted((r for r in runners if not r.exclusive and r.owner is None), key=lambda r: (r.load, r.name))
    allowed = len(runners) // 2 - (len(runners) - len(shared))
    return {runner.name for runner in shared[: max(0, min(suspects, allowed))]}


def _others_wait(runners: list[RunnerView], world: World) -> bool:
    return bool(runners) and world.waiting_for(runners[0].agent).others > 0
