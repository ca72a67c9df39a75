"""Decides how many runners an agent should have, and which to start and drain. Pure.

```
  start ──▶ not ready ──▶ ready ──▶ draining ──▶ gone
                           │  replaced by newer code: when enough others are ready
                           ├─ in Kubernetes' back-off: at once
                           └─ not needed: after scaleDownDelaySeconds without a run
```
A queued run starts another runner, below the maximum, when those that are there cannot take it, whatever the reason.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil
from typing import assert_never

from relayrun_operator.engine.model import AgentView, RunnerView, Startup

#: A runner that is not ready for so long is not waited for, although it stays: from its container's start, and without.
LONGEST_LOAD_SECONDS = 60.0
LONGEST_CREATION_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What an agent has to carry: runs on runners, runs that wait, and how many of both are suspects.

    `queued_suspects`: how many of those that wait.
    """

    active: int = 0
    queued: int = 0
    suspects: int = 0
    queued_suspects: int = 0


@dataclass(frozen=True, slots=True)
class PoolDecision:
    """`wanted` runners in all; `start` that many of the agent's generation now; `drain` these.

    `broken`: those of `drain` that had been ready, and will not be for long: somebody has to take their place.
    """

    wanted: int
    start: int = 0
    drain: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def decide_pool(
    agent: AgentView, runners: Collection[RunnerView], lost: frozenset[str], demand: Demand, now: float
) -> PoolDecision:
    """What should happen to the agent's `runners` at `now` (monotonic seconds)."""
    there = [r for r in runners if not r.draining and not r.gone and r.name not in lost]
    broken = tuple(r.name for r in there if _is_broken(r))
    live = [r for r in there if r.name not in broken]
    current = [r for r in live if r.generation == agent.generation]
    old = [r for r in live if r.generation != agent.generation]
    wanted = wanted_runners(agent, demand)
    surge = agent.max_surge if old else 0
    start = min(wanted - len(current), wanted + surge - len(live))
    start = max(start, _missing_for_queue(agent, live, demand, wanted, surge, now))
    if silent := sum(r.name in lost for r in runners if not r.draining and not r.gone):
        # They are replaced, but not again and again: what keeps us from hearing them may hold for the next ones too.
        start = min(start, 2 * wanted - len(live) - silent)
    drain = (*broken, *_replaced(agent, current, old, wanted), *_idle(agent, current, old, wanted, now))
    return PoolDecision(wanted, max(0, start), drain, broken)


def wanted_runners(agent: AgentView, demand: Demand) -> int:
    """Enough for what is active and queued (a suspect takes a runner for itself), and the spare ones."""
    shared = max(0, demand.active + demand.queued - demand.suspects)
    needed = ceil(shared / max(1, agent.slots)) + demand.suspects + agent.spare
    return max(agent.min_runners, min(agent.max_runners, needed))


def _is_broken(runner: RunnerView) -> bool:
    """Its container had served, and Kubernetes lets it wait: a new pod serves sooner."""
    return not runner.ready and runner.was_ready and runner.startup is Startup.BACK_OFF


def _missing_for_queue(
    agent: AgentView, live: list[RunnerView], demand: Demand, wanted: int, surge: int, now: float
) -> int:
    """How many more the queued runs need, because those that are there cannot take them."""
    able = [r for r in live if not _is_late(r, now)]
    room = {r.name: _room(r, agent) for r in able}
    idle = [r for r in able if r.load == 0 and room[r.name]]
    taken = min(demand.queued_suspects, len(idle))
    free = sum(room.values()) - taken * agent.slots
    lacking = ceil(max(0, demand.queued - demand.queued_suspects - free) / max(1, agent.slots))
    most = agent.max_runners + surge
    if not any(r.ready or r.was_ready for r in live if r.generation == agent.generation):
        # Nobody has seen this generation serve: what keeps these from it may hold for the next ones too.
        most = min(most, 2 * wanted)
    return min(lacking + demand.queued_suspects - taken, most - len(live))


def _is_late(runner: RunnerView, now: float) -> bool:
    """Whether runs should not wait for it to become ready."""
    if runner.ready:
        return False
    match runner.startup:
        case Startup.BACK_OFF:
            return True
        case Startup.RUNNING:
            return now - runner.unready_since >= LONGEST_LOAD_SECONDS
        case Startup.CREATED:
            return now - runner.unready_since >= LONGEST_CREATION_SECONDS
        case Startup.HELD_UP:
            return False
        case never:
            assert_never(never)


def _room(runner: RunnerView, agent: AgentView) -> int:
    """How many more runs it takes, or will once it is ready; one that belongs to a run takes no other."""
    if runner.exclusive or runner.owner is not None:
        return 0
    return max(0, agent.slots - runner.load)


def _replaced(agent: AgentView, current: list[RunnerView], old: list[RunnerView], wanted: int) -> list[str]:
    """Old ones leave while enough ready ones stay; one that never became ready leaves at once."""
    unready = [r.name for r in old if not r.ready]
    ready = sum(r.ready for r in current) + sum(r.ready for r in old)
    surplus = ready - max(0, wanted - agent.max_unavailable)
    leaving = sorted((r for r in old if r.ready), key=lambda r: (r.load, r.name))
    return unready + [r.name for r in leaving[: max(0, surplus)]]


def _idle(agent: AgentView, current: list[RunnerView], old: list[RunnerView], wanted: int, now: float) -> list[str]:
    """Runners that nothing needs leave when they were idle for long enough, the longest first."""
    if old:
        return []
    spare = sum(r.ready for r in current) - wanted
    idle = [r for r in current if r.ready and r.idle_since is not None and r.load == 0 and r.owner is None]
    leaving = [r for r in idle if r.idle_since is not None and now - r.idle_since >= agent.scale_down_delay_seconds]
    leaving.sort(key=lambda r: (r.idle_since, r.name))
    return [r.name for r in leaving[: max(0, spare)]]
