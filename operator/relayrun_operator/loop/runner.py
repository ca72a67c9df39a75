"""What the loop knows of one runner; everything in it can be asked again."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

from relayrun_operator.engine import Report, RunnerView
from relayrun_operator.loop.client import RunnerClient


@dataclass(kw_only=True)
class Runner:
    """A runner and what it told. Times are seconds of the monotonic clock."""

    name: str
    agent: str
    #: Which code and settings it was started with.
    generation: int | str
    client: RunnerClient
    slots: int
    started_at: float
    last_heard: float
    debugged: bool = False
    #: Its process or pod is known to be gone.
    gone: bool = False
    #: Its process does not listen: it has crashed, or has not started yet. Its pod may start another one.
    down: bool = False
    #: Since when it is not ready; for a pod from its container's start, where there is one.
    unready_since: float = 0.0
    was_ready: bool = False
    #: Since when it refuses the operator's token.
    refused_since: float | None = None
    #: With `Pod` isolation: the run it belongs to.
    owner: str | None = None
    holder: str | None = None
    ready: bool = False
    #: Somebody else, as the kubelet, says that it serves: from then on it can be heard.
    serving: bool = False
    draining: bool = False
    #: We told it to stop a run: should a node not do so, it ends itself.
    told_to_stop: bool = False
    #: It refused a run although we saw room: believed until it says something new.
    full: bool = False
    graphs: frozenset[str] = frozenset()
    lag_ms: float = 0.0
    idle_since: float | None = None
    #: Why it is not ready, in its own words.
    troubles: tuple[str, ...] = ()
    #: What it waits for before it can be ready, in its own words.
    waits_for: tuple[str, ...] = ()
    reports: dict[str, Report] = field(default_factory=dict)
    #: When each claim was accepted: a list that was made before says nothing of it.
    accepted_at: dict[str, float] = field(default_factory=dict)
    _view: RunnerView | None = None

    @property
    def view(self) -> RunnerView:
        """The runner as the engine sees it."""
        if self._view is None:
            self._view = RunnerView(
                name=self.name,
                agent=self.agent,
                generation=str(self.generation),
                holder=self.holder,
                slots=0 if self.full else self.slots,
                last_heard=self.last_heard,
                ready=self.ready,
                serving=self.serving,
                draining=self.draining,
                gone=self.gone,
                debugged=self.debugged,
                owner=self.owner,
                idle_since=self.idle_since,
                graphs=self.graphs,
                runs=dict(self.reports),
            )
        elif self._view.last_heard != self.last_heard:
            self._view = replace(self._view, last_heard=self.last_heard)
        return self._view

    def changed(self, now: float) -> None:
        """Call after any change but that of `last_heard`."""
        self._view = None
        if any(report.state.holds for report in self.reports.values()):
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = now

    def set_report(self, run_id: str, report: Report | None, now: float) -> None:
        """Replace, or with None forget, what is known of a run on this runner."""
        if report is None or not report.state.holds:
            self.accepted_at.pop(run_id, None)
        if report is None:
            self.reports.pop(run_id, None)
        else:
            self.reports[run_id] = report
        self.changed(now)

    def holds(self, run_id: str, attempt: int) -> bool:
        """Whether the attempt is on this runner, as far as known."""
        report = self.reports.get(run_id)
        return report is not None and report.attempt == attempt and report.state.holds


R = TypeVar("R", bound=Runner)
