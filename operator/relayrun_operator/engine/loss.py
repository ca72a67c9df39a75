"""Decides when a runner is lost. A wrong decision is safe, because the fence protects the run, but wastes work."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from relayrun_operator.engine.model import RunnerView, RunView

#: How often a world ticks.
TICK_SECONDS = 0.5

#: A tick this late means that we were paused, not the runners: what they said meanwhile is still unread.
LATE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TickClock:
    """Remembers when the engine last ran, in seconds of a monotonic clock."""

    ticked_at: float
    trusted_since: float

    @classmethod
    def start(cls, now: float) -> "TickClock":
        """A clock that trusts nothing heard before `now`, because nobody listened."""
        return cls(ticked_at=now, trusted_since=now)

    def tick(self, now: float) -> "TickClock":
        """Return the clock after the engine ran at `now`. After a late tick every silence starts anew."""
        late = now - self.ticked_at >= TICK_SECONDS + LATE_SECONDS
        return replace(self, ticked_at=now, trusted_since=now if late else self.trusted_since)

    def silence_began(self, last_heard: float) -> float:
        """Return since when a runner that was last heard at `last_heard` counts as silent."""
        return max(last_heard, self.trusted_since)


#: A stream that says nothing for this long belongs to a lost runner, unless a setting says otherwise; heartbeats come
#: every 2 s.
LOST_AFTER_SECONDS = 10.0

#: A runner that is given up for so long is ended: its slots, its memory and its locks are wanted back.
END_SILENT_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Liveness:
    """The inputs for measuring a runner's silence, in seconds of the monotonic clock.

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


@dataclass(frozen=True, slots=True)
class Silences:
    """The runners that are given up because they are silent: since when, in monotonic seconds, by name."""

    since: Mapping[str, float] = field(default_factory=dict)

    def update(self, runners: Collection[RunnerView], liveness: Liveness) -> "Silences":
        """The silences as of now: one that was there before keeps its beginning."""
        return Silences({name: self.since.get(name, liveness.now) for name in silent_runners(runners, liveness)})

    def overdue(self, now: float) -> frozenset[str]:
        """The runners that are given up for so long that their process or pod has to end."""
        return frozenset(name for name, since in self.since.items() if now - since >= END_SILENT_AFTER_SECONDS)


def silent_runners(runners: Collection[RunnerView], liveness: Liveness) -> frozenset[str]:
    """Return the names of runners that are silent for too long, although their process or pod is there.

    When most are silent at once, something of ours is the likely cause: they are given up only after their
    processes or pods have been looked at since.
    """
    silent = _silent(runners, liveness)
    if _are_most(silent, runners):
        silent = [runner for runner in silent if _is_looked_at(runner, liveness)]
    return frozenset(runner.name for runner in silent)


def lost_runners(runners: Collection[RunnerView], liveness: Liveness) -> frozenset[str]:
    """Return the names of runners that are gone or silent for too long."""
    return silent_runners(runners, liveness).union(runner.name for runner in runners if runner.gone)


def wants_look(runners: Collection[RunnerView], liveness: Liveness) -> bool:
    """Whether silence alone may not decide: the processes or pods have to be looked at first."""
    silent = _silent(runners, liveness)
    return _are_most(silent, runners) and not all(_is_looked_at(runner, liveness) for runner in silent)


def is_quiet(runner: RunnerView, liveness: Liveness) -> bool:
    """Return whether the runner should have been heard by now."""
    return not runner.debugged and liveness.silence_seconds(runner) >= liveness.quiet_after_seconds


def is_held(run: RunView, runner: RunnerView) -> bool:
    """Return whether the runner's process has the run's attempt and may still write."""
    report = runner.runs.get(run.run_id)
    return (
        report is not None
        and report.attempt == run.attempt
        and report.state.holds
        and (run.holder is None or run.holder == runner.holder)
    )


def _silent(runners: Collection[RunnerView], liveness: Liveness) -> list[RunnerView]:
    return [
        runner
        for runner in runners
        if not (runner.gone or runner.debugged or _starts(runner))
        and liveness.silence_seconds(runner) >= _longest_silence_seconds(runner, liveness)
    ]


def _longest_silence_seconds(runner: RunnerView, liveness: Liveness) -> float:
    """Who was never heard is asked directly, again and again, which has to be answered sooner."""
    return liveness.quiet_after_seconds if runner.holder is None else liveness.lost_after_seconds


def _is_looked_at(runner: RunnerView, liveness: Liveness) -> bool:
    return runner.holder is None or liveness.looked_since(runner)


def _starts(runner: RunnerView) -> bool:
    """Whether it has never spoken and nobody says that it could: loading an agent's code takes its time."""
    return runner.holder is None and not runner.ready and not runner.serving


def _are_most(silent: list[RunnerView], runners: Collection[RunnerView]) -> bool:
    return 2 * len(silent) > sum(not (runner.gone or _starts(runner)) for runner in runners)
