"""A runner that is a process of this machine, and the listener for its reports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relayrun_core.runner_protocol import RunReport
from relayrun_operator.local.processes import SupervisedProcess
from relayrun_operator.loop.runner import Runner


@dataclass(kw_only=True)
class LocalRunner(Runner):
    """A runner that is a process of this machine."""

    process: SupervisedProcess
    #: It was told to drain. It also drains when author code sends a SIGTERM to its own process.
    told_to_drain: bool = False


@dataclass(frozen=True)
class LocalListener:
    """See `Listener`. `reread` reads the row of a run; `pool_changed` is called when a runner's readiness changed."""

    reread: Callable[[str], None]
    pool_changed: Callable[[], None]

    def on_report(self, runner: Runner, reported: RunReport) -> None:
        """The row says it."""

    def on_unknown(self, runner: Runner, run_id: str) -> None:  # noqa: ARG002 - a listener's shape
        """See `Listener`."""
        self.reread(run_id)

    def on_deaths(self, runner: Runner, deaths: Mapping[str, int]) -> None:
        """The supervisor has seen them itself."""

    def on_runner(self, runner: Runner) -> None:  # noqa: ARG002 - a listener's shape
        """See `Listener`."""
        self.pool_changed()
