"""When a runner is lost. Being wrong is safe, because the fence decides; being hasty wastes work."""

from collections.abc import Collection
from dataclasses import dataclass

from relayrun_operator.engine.clock import TickClock
from relayrun_operator.engine.model import RunnerView, RunView

#: A stream that says nothing for this long belongs to a lost runner, unless a setting says otherwise; heartbeats come
#: every 2 s.
LOST_AFTER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Hearing:
    """What silence is measured with, in seconds of the monotonic clock.

    `looked_at`: when the processes or pods themselves were last looked at, not only their streams.
    """

    now: float
    clock: TickClock
    looked_at: float = float("-inf")
    lost_after_seconds: float = LOST_AFTER_SECONDS

    @property
    def quiet_after_seconds(self) -> float:
        """After so much silence nothing new is placed on a runner: by default it has missed two heartbeats."""
        return self.lost_after_seconds / 2

    def silence_seconds(self, runner: RunnerView) -> float:
        """For how long the runner has said nothing while we listened."""
        return self.now - self.clock.silence_began(runner.last_heard)

    def looked_since(self, runner: RunnerView) -> bool:
        """Whether there was a look at the processes after the runner had been silent for too long."""
        return self.looked_at >= self.clock.silence_began(runner.last_heard) + self.lost_after_seconds


def lost_runners(runners: Collection[RunnerView], hearing: Hearing) -> frozenset[str]:
    """The names of the runners that are gone or silent for too long.

    When most are silent at once, something of ours is the likely cause: they are given up only after their
    processes or pods have been looked at since.
    """
    silent = _silent(runners, hearing)
    if _are_most(silent, runners):
        silent = [runner for runner in silent if hearing.looked_since(runner)]
    gone = (runner.name for runner in runners if runner.gone)
    return frozenset(gone).union(runner.name for runner in silent)


def wants_look(runners: Collection[RunnerView], hearing: Hearing) -> bool:
    """Whether silence alone may not decide: the processes or pods have to be looked at first."""
    silent = _silent(runners, hearing)
    return _are_most(silent, runners) and not all(hearing.looked_since(runner) for runner in silent)


def is_quiet(runner: RunnerView, hearing: Hearing) -> bool:
    """Whether the runner should have been heard by now."""
    return not runner.debugged and hearing.silence_seconds(runner) >= hearing.quiet_after_seconds


def is_held(run: RunView, runner: RunnerView) -> bool:
    """Whether the runner's process has the run's attempt and may still write."""
    report = runner.runs.get(run.run_id)
    return (
        report is not None
        and report.attempt == run.attempt
        and report.state.holds
        and (run.holder is None or run.holder == runner.holder)
    )


def _silent(runners: Collection[RunnerView], hearing: Hearing) -> list[RunnerView]:
    return [
        runner
        for runner in runners
        if not (runner.gone or runner.debugged or _starts(runner))
        and hearing.silence_seconds(runner) >= hearing.lost_after_seconds
    ]


def _starts(runner: RunnerView) -> bool:
    """Whether it has never spoken and nobody says that it could: loading an agent's code takes its time."""
    return runner.holder is None and not runner.ready


def _are_most(silent: list[RunnerView], runners: Collection[RunnerView]) -> bool:
    return 2 * len(silent) > sum(not (runner.gone or _starts(runner)) for runner in runners)
