"""How many runners an agent should have, and which come and go. Says what to start and drain, does neither.

```
  start ──▶ not ready ──▶ ready ──▶ draining ──▶ gone
                           │  replaced by newer code: when enough others are ready
                           └─ not needed: after scaleDownDelaySeconds without a run
```
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

from relayrun_operator.engine.model import AgentView, RunnerView


@dataclass(frozen=True, slots=True)
class Demand:
    """What an agent has to carry: runs on runners, runs that wait, and how many of both are suspects."""

    active: int = 0
    queued: int = 0
    suspects: int = 0


@dataclass(frozen=True, slots=True)
class PoolDecision:
    """`wanted` runners in all; `start` that many of the agent's generation now; `drain` these."""

    wanted: int
    start: int = 0
    drain: tuple[str, ...] = ()


def decide_pool(
    agent: AgentView, runners: Collection[RunnerView], lost: frozenset[str], demand: Demand, now: float
) -> PoolDecision:
    """What should happen to the agent's `runners` at `now` (monotonic seconds)."""
    live = [r for r in runners if not r.draining and not r.gone and r.name not in lost]
    current = [r for r in live if r.generation == agent.generation]
    old = [r for r in live if r.generation != agent.generation]
    wanted = wanted_runners(agent, demand)
    room = wanted + (agent.max_surge if old else 0) - len(live)
    if silent := sum(r.name in lost for r in runners if not r.draining and not r.gone):
        # They are replaced, but not again and again: what keeps us from hearing them may hold for the next ones too.
        room = min(room, 2 * wanted - len(live) - silent)
    start = max(0, min(wanted - len(current), room))
    return PoolDecision(
        wanted, start, (*_replaced(agent, current, old, wanted), *_idle(agent, current, old, wanted, now))
    )


def wanted_runners(agent: AgentView, demand: Demand) -> int:
    """Enough for what is active and queued (a suspect takes a runner for itself), and the spare ones."""
    shared = max(0, demand.active + demand.queued - demand.suspects)
    needed = ceil(shared / max(1, agent.slots)) + demand.suspects + agent.spare
    return max(agent.min_runners, min(agent.max_runners, needed))


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
