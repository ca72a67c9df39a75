"""The ports of the loop: what it needs of its world. `local` and `kube` each implement them.

```
  agents, leads ──▶ Decider ──▶ report_…                  (what is observed, what people and metrics are told)
                       │  └───▶ adjust, end_silent         (processes or pods)
                       └─▶ RunnerCalls ──▶ assign, finish, reread
```
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from relayrun_core.runner_protocol import AssignAnswer
from relayrun_core.states import RunStatus
from relayrun_operator.engine import AgentView, Assign, Finish, RunView, Wait
from relayrun_operator.loop.runner import Runner

R_contra = TypeVar("R_contra", bound=Runner, contravariant=True)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended that was finished from outside, and as which attempt."""

    status: RunStatus
    attempt: int


class Ports(Protocol[R_contra]):
    """One world, as the loop sees it."""

    @property
    def leads(self) -> bool:
        """Whether this process may decide now."""

    def agents(self) -> Iterable[AgentView]:
        """The agents that there are."""

    def adjust(self, silent: frozenset[str]) -> None:
        """Start and drain runners as the pools need it. `silent`: runners that are given up, but are still there."""

    def end_silent(self, runner: R_contra) -> None:
        """End a runner that is given up for long; called again until it is gone."""

    def resync(self) -> None:
        """Repair what was missed; called now and then."""

    async def assign(self, run: RunView, runner: R_contra, decision: Assign) -> AssignAnswer:
        """Give the attempt to the runner. RunnerUnreachable: the claim may have committed; NotSent: it has not."""

    async def finish(self, run: RunView, decision: Finish) -> Ended | None:
        """End the run. None: it had ended otherwise, and is read again. RunnerUnreachable: try again later."""

    def reread(self, run_id: str) -> bool:
        """Have the truth about a run read again, soon; False where there is nothing to read."""

    def report_assign(self, run: RunView, decision: Assign) -> None:
        """A runner is about to be given the run."""

    def report_wait(self, run: RunView, decision: Wait) -> None:
        """Nobody executes the run now."""

    def report_loss(self, runner: R_contra) -> None:
        """A runner is given up: it is gone, or silent for too long."""

    def report_round(self, seconds: float) -> None:
        """A round of decisions took so long."""
