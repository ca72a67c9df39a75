"""The cache of observed runs and runners: merges rows, reports and answers in whatever order they come.

Nothing here decides. Attempts order the news: a newer attempt wins over an older one.

```
  row ───────▶ see_row ────┐
  report ────▶ see_report ─┼──▶ runs, runners ──▶ queue: what has to be decided
  answer ────▶ accepted … ─┘
```
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Generic

from relayrun_core.runner_protocol import AttemptState, RunReport
from relayrun_core.runs import RunHead
from relayrun_core.states import CancelAction, RunStatus
from relayrun_operator.engine import AgentView, Demand, Liveness, Report, RunView, Waiting, World
from relayrun_operator.loop.runner import R, Runner
from relayrun_operator.loop.workqueue import ThreadOrder, WorkQueue

_REMEMBERED_ENDS = 10_000


class Cache(Generic[R]):
    """Runs and runners as last known. `clock` gives monotonic seconds."""

    def __init__(self, queue: WorkQueue, clock: Callable[[], float]) -> None:
        self.queue = queue
        self.runs: dict[str, RunView] = {}
        self.runners: dict[str, R] = {}
        self.ended: Counter[str] = Counter()
        self._clock = clock
        self._threads = ThreadOrder()
        self._recently_ended: OrderedDict[str, None] = OrderedDict()

    def world(self, liveness: Liveness, wall: float, *agents: AgentView) -> World:
        """All of it as the engine sees it."""
        suspects, others = Counter[str](), Counter[str]()
        for run_id in self.queue.waiting:
            run = self.runs[run_id]
            (suspects if run.suspect else others)[run.agent] += 1
        counts = {name: Waiting(suspects[name], others[name]) for name in {*suspects, *others}}
        runners = {name: runner.view for name, runner in self.runners.items()}
        return World(wall, liveness, {agent.name: agent for agent in agents}, runners, counts)

    def demand(self) -> dict[str, Demand]:
        """What each agent's runners have to carry."""
        active, queued, suspects, alone = (Counter[str]() for _ in range(4))
        for run in self.runs.values():
            if run.status.finished:
                continue
            if run.run_id in self.queue.waiting:
                queued[run.agent] += 1
                alone[run.agent] += run.suspect
            elif run.runner is not None and run.attempt:
                active[run.agent] += 1
            suspects[run.agent] += run.suspect
        names = {*active, *queued, *suspects}
        return {name: Demand(active[name], queued[name], suspects[name], alone[name]) for name in names}

    def resync(self) -> None:
        """Queue every run."""
        self.queue.add(*self.runs)
        self.queue.retry_waiting()

    def move_times(self, seconds: float) -> None:
        """The wall clock was set by so many seconds: what it was measured with is as far away as before."""
        for run_id, run in self.runs.items():
            times = {
                name: value + seconds
                for name in ("not_before", "active_deadline", "starting_deadline")
                if (value := getattr(run, name)) is not None
            }
            self.runs[run_id] = replace(run, **times)

    def requeue_runner(self, name: str) -> None:
        """Queue all runs that may be on this runner: it was lost, or found again."""
        self.queue.add(*(run.run_id for run in self.runs.values() if run.runner == name))
        if name in self.runners:
            self.queue.add(*self.runners[name].reports)
        self.queue.retry_waiting()

    def ended_lately(self, run_id: str) -> bool:
        """Whether this run is known to have ended, so that news of it are late."""
        return run_id in self._recently_ended

    def siblings(self, run_id: str) -> list[str]:
        """The other unfinished runs of the same thread."""
        run = self.runs.get(run_id)
        return [other for other in self._threads.of(run.thread) if other != run_id] if run else []

    # What the rows say

    def see_row(self, head: RunHead) -> None:
        """Merge a row, however old the read is."""
        run_id = str(head.run_id)
        known = self.runs.get(run_id)
        if head.status.finished:
            if known or self._highest_report(run_id):
                self.end(run_id, head.status, head.attempt)
        elif known is None:
            if run_id not in self._recently_ended:
                self._add(run_id, head)
        elif head.attempt >= known.attempt:
            self._replace(_from_row(known, head))
        elif head.cancel is not None and known.cancel is None:
            self._replace(replace(known, cancel=head.cancel))

    def see_cancel(self, run_id: str, *, cancel: CancelAction | None = None, deleted: bool = False) -> None:
        """Note that the run should end: it was cancelled, or its AgentRun was deleted. This cannot be undone."""
        known = self.runs.get(run_id)
        if known is not None:
            self._replace(replace(known, cancel=known.cancel or cancel, deleted=known.deleted or deleted))

    def move(self, run_id: str, agent: str) -> None:
        """The run is another pool's now."""
        known = self.runs.get(run_id)
        if known is not None and known.agent != agent:
            self._replace(replace(known, agent=agent))

    def put_behind(self, run_id: str, other: str) -> bool:
        """`other`, of the same thread, was accepted before. False: it is not known here.

        The database says so: a thread may be called by its id and by a name.
        """
        run, first = self.runs.get(run_id), self.runs.get(other)
        if run is None or first is None:
            return False
        if run.order < first.order or run.thread != first.thread:
            self._leave_thread(run)
            self.runs[run_id] = replace(run, thread=first.thread, order=max(run.order, first.order + 1))
            self._join_thread(run_id)
        return True

    def see_missing_row(self, run_id: str) -> None:
        """The row does not exist: nothing is left to do but to stop who still works on it."""
        known = self.runs.get(run_id)
        attempt = max(known.attempt if known else 0, self._highest_report(run_id)) + 1
        self.end(run_id, RunStatus.CANCELLED, attempt)

    def nobody_survived(self) -> None:
        """Note that no runner survived our restart. Its runs go on elsewhere; no attempt counts as failed."""
        for run_id, run in self.runs.items():
            if run.status is RunStatus.RUNNING:
                self.runs[run_id] = replace(run, runner=None, holder=None, excused=True)

    # What the runners say

    def remove_runner(self, name: str, *, excused: bool) -> None:
        """Remove a runner whose process is gone. `excused`: its runs did not cause that."""
        runner = self.runners.pop(name)
        for run in [run for run in self.runs.values() if run.runner == name]:
            pause = None if run.unanswered else run.not_before  # there is nobody to ask again
            self.runs[run.run_id] = replace(run, excused=run.excused or excused, not_before=pause)
            self.queue.add(run.run_id)
        self.queue.add(*runner.reports)

    def see_list(self, runner: Runner, reports: Iterable[RunReport], opened_at: float) -> list[str]:
        """All that a runner has, as of when its stream was opened; what it does not name it does not have.

        The runs of which nothing else is known are returned.
        """
        named, unknown = set(), []
        self.requeue_runner(runner.name)
        for line in reports:
            named.add(line.run_id)
            if (line.state.holds or line.run_id in self.runs) and not self.see_report(runner, line):
                unknown.append(line.run_id)
        for run_id, report in list(runner.reports.items()):
            later = report.state is AttemptState.CLAIMING or runner.accepted_at.get(run_id, 0.0) >= opened_at
            if run_id not in named and not later:
                runner.set_report(run_id, None, self._clock())
        return unknown

    def see_report(self, runner: Runner, line: RunReport) -> bool:
        """Merge a runner's report of one attempt. False: the run is unknown, so its row must be read."""
        run_id, report = line.run_id, Report(line.attempt, line.state)
        known = self.runs.get(run_id)
        before = runner.reports.get(run_id)
        if before is not None and before.attempt > report.attempt:
            return True
        holding = report.state.holds
        alone = (before is not None and before.alone) or (known is not None and known.suspect)
        runner.full = False
        runner.set_report(run_id, replace(report, alone=alone) if holding else None, self._clock())
        if not holding:
            self.queue.retry_waiting()
        if known is None:
            return not holding
        if report.attempt < known.attempt:
            self.queue.add(run_id)
        elif report.state is AttemptState.FINISHED:
            self.end(run_id, line.outcome.status if line.outcome else RunStatus.ERROR, report.attempt)
        elif holding:
            self._note(_held(known, runner, report))
        else:
            excused = known.excused or report.state is AttemptState.DRAINED
            given_back = replace(known, status=RunStatus.PENDING, holder=None, unanswered=False)
            self._replace(replace(given_back, attempt=report.attempt, excused=excused))
        return True

    # What became of our own decisions

    def assigned(self, run: RunView, runner: Runner, attempt: int, *, alone: bool) -> None:
        """The attempt is being given to the runner."""
        runner.set_report(run.run_id, Report(attempt, AttemptState.CLAIMING, alone), self._clock())
        self.queue.waiting.discard(run.run_id)
        given = replace(run, attempt=attempt, runner=runner.name, holder=runner.holder, unanswered=True)
        self.runs[run.run_id] = replace(given, not_before=None)

    def accepted(self, run: RunView, runner: Runner, attempt: int, wall: float) -> None:
        """The claim committed, at about `wall`."""
        known = self.runs.get(run.run_id)
        report = runner.reports.get(run.run_id)
        if report is not None and report.attempt == attempt and report.state is AttemptState.CLAIMING:
            runner.accepted_at[run.run_id] = self._clock()
            runner.set_report(run.run_id, replace(report, state=AttemptState.RUNNING), self._clock())
        if known is None or known.attempt != attempt or known.runner != runner.name or known.status.finished:
            self.queue.add(run.run_id)  # it ended or went elsewhere meanwhile: this attempt may have to be stopped
            return
        deadline = known.active_deadline or wall + known.active_seconds
        started = replace(known, status=RunStatus.RUNNING, unanswered=False, excused=False)
        self._note(replace(started, active_deadline=deadline))

    def not_accepted(self, run: RunView, runner: Runner, attempt: int, /, **changes: Any) -> bool:
        """The claim did not happen, or nobody knows: all as before, but for `changes`. False: news overtook it."""
        report = runner.reports.get(run.run_id)
        if report is not None and report.attempt == attempt and report.state is AttemptState.CLAIMING:
            runner.set_report(run.run_id, None, self._clock())
        known = self.runs.get(run.run_id)
        if known is None or known.attempt != attempt or known.runner != runner.name or not known.unanswered:
            return False
        before = {"attempt": run.attempt, "runner": run.runner, "holder": run.holder, "unanswered": run.unanswered}
        self._replace(replace(known, **before | changes))
        self.queue.add(run.run_id)  # also when that is how it was before: it has to go somewhere
        return True

    def end(self, run_id: str, status: RunStatus, attempt: int) -> None:
        """The run has ended, for good, in this attempt; older ones that are still reported have to be stopped."""
        self.queue.forget(run_id)
        if run_id not in self._recently_ended:
            self.ended[status.value] += 1
            self._recently_ended[run_id] = None
            if len(self._recently_ended) > _REMEMBERED_ENDS:
                self._recently_ended.popitem(last=False)
        known = self.runs.get(run_id)
        if known is not None:
            self._leave_thread(known)
        reported = [runner for runner in self.runners.values() if run_id in runner.reports]
        if any(runner.reports[run_id].attempt < attempt for runner in reported):
            stub = known or RunView(run_id, agent="", graph="", thread="", order=0)
            self.runs[run_id] = replace(stub, status=status, attempt=max(attempt, stub.attempt), unanswered=False)
            self.queue.add(run_id)
            return
        for runner in reported:
            runner.set_report(run_id, None, self._clock())
        self.runs.pop(run_id, None)
        self.queue.retry_waiting()

    def forget_ended(self, run_id: str) -> None:
        """Forget a finished run, unless somebody may still work on it."""
        if not self._highest_report(run_id):
            self.runs.pop(run_id, None)

    # Private

    def _add(self, run_id: str, head: RunHead) -> None:
        blank = RunView(run_id, head.agent, head.graph, str(head.thread_id), head.seq)
        blank = replace(blank, active_seconds=head.active_deadline_seconds)
        self._replace(_from_row(blank, head))
        self._join_thread(run_id)

    def _replace(self, run: RunView) -> None:
        if self.runs.get(run.run_id) != run:
            self.runs[run.run_id] = run
            self.queue.waiting.discard(run.run_id)
            self.queue.add(run.run_id)

    def _note(self, run: RunView) -> None:
        """The run executes, as was decided: only an accepted cancel asks for more."""
        self.runs[run.run_id] = run
        self.queue.waiting.discard(run.run_id)
        if run.cancel is not None:
            self.queue.add(run.run_id)

    def _join_thread(self, run_id: str) -> None:
        run = self.runs[run_id]
        self._threads.join(run.thread, run.order, run_id)
        before, behind = self._threads.neighbours(run.thread, run.order, run_id)
        self._replace(replace(run, queued_behind=before))
        self._queue_behind(behind, run_id)

    def _leave_thread(self, run: RunView) -> None:
        if self._threads.leave(run.thread, run.order, run.run_id):
            before, behind = self._threads.neighbours(run.thread, run.order, run.run_id)
            self._queue_behind(behind, before)

    def _queue_behind(self, run_id: str | None, before: str | None) -> None:
        if run_id is not None:
            self._replace(replace(self.runs[run_id], queued_behind=before))

    def _highest_report(self, run_id: str) -> int:
        return max((r.reports[run_id].attempt for r in self.runners.values() if run_id in r.reports), default=0)


def _from_row(known: RunView, head: RunHead) -> RunView:
    running = head.status is RunStatus.RUNNING
    return replace(
        known,
        status=head.status,
        attempt=head.attempt,
        runner=head.runner if running else known.runner,
        holder=str(head.holder) if running else None,
        unanswered=False,
        cancel=known.cancel or head.cancel,
        suspect=head.suspect,
        not_before=head.not_before,
        failed_attempts=head.failed_attempts,
        active_deadline=head.active_deadline,
        starting_deadline=head.starting_deadline,
    )


def _held(known: RunView, runner: Runner, report: Report) -> RunView:
    return replace(
        known,
        status=RunStatus.RUNNING,
        attempt=report.attempt,
        runner=runner.name,
        holder=runner.holder,
        unanswered=False,
        excused=False,
    )
