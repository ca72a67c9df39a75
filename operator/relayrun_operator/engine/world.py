"""The world at one moment: all that a decision may depend on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from relayrun_operator.engine.loss import Liveness, lost_runners
from relayrun_operator.engine.model import AgentView, RunnerView, Waiting


@dataclass(frozen=True)
class World:
    """Agents and runners by name, and the time: `wall` is in seconds since the epoch, as deadlines are."""

    wall: float
    liveness: Liveness
    agents: Mapping[str, AgentView]
    runners: Mapping[str, RunnerView]
    waiting: Mapping[str, Waiting] = field(default_factory=dict)

    @cached_property
    def lost(self) -> frozenset[str]:
        """The names of the runners that are lost."""
        return lost_runners(self.runners.values(), self.liveness)

    def waiting_for(self, agent: str) -> Waiting:
        """How many runs wait for a place at the agent's runners."""
        return self.waiting.get(agent, Waiting())

    def with_runner(self, runner: RunnerView) -> "World":
        """The same world with one runner replaced."""
        return replace(self, runners={**self.runners, runner.name: runner})
