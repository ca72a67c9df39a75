"""Carries out decisions by calls to runners, concurrently and bounded, and puts the answers into the cache.

```
 Assign ──PUT──▶ 202 accepted · 200 finished · 409 why not · no clear answer: the same number, the same runner, later
 Cancel, Abandon ──DELETE──▶ 202 · 404 it has no such attempt
 Finish ──▶ the world's own way
```
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Generic, assert_never

from relayrun_core.runner_protocol import (
    Accepted,
    AlreadyFinished,
    AttemptState,
    BackOff,
    Draining,
    Full,
    Invalid,
    NotFound,
    Refusal,
    Stale,
    StopAction,
    ThreadBusy,
    UnknownGraph,
    WrongRevision,
)
from relayrun_core.states import Reason, RunStatus
from relayrun_operator.engine import Abandon, Assign, Cancel, Finish, Report, RunView
from relayrun_operator.engine.reasons import NO_SUCH_GRAPH
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.ports import Ports
from relayrun_operator.loop.runner import R
from relayrun_operator.loop.transport import NotSent, RunnerUnreachable, TokenRefused

logger = logging.getLogger("relayrun.loop")

_AT_ONCE = 64

#: Between two tries of the same number at the same runner; after the last one the run goes elsewhere with a new number.
_RETRY_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)

#: How soon a run that a claim contradicted is decided about again, if its rereading tells nothing before.
_SECOND_LOOK_SECONDS = 0.05

_LATER_SECONDS = 1.0


class RunnerCalls(Generic[R]):
    """Carries out decisions on runners."""

    def __init__(self, tasks: asyncio.TaskGroup, cache: Cache[R], ports: Ports[R]) -> None:
        self.counts: Counter[str] = Counter()
        self._tasks = tasks
        self._cache = cache
        self._ports = ports
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._tries: Counter[str] = Counter()

    def assign(self, run: RunView, decision: Assign) -> None:
        """Give the attempt to the runner."""
        runner = self._cache.runners[decision.runner]
        level = logging.DEBUG if decision.attempt == 1 else logging.INFO
        fields = {"run": run.run_id, "thread_id": run.thread, "attempt": decision.attempt}
        logger.log(level, decision.message, extra=fields)
        self.counts[decision.reason] += 1
        self._cache.assigned(run, runner, decision.attempt, alone=decision.alone)
        self._start(self._put(run, runner, decision), f"put {run.run_id}")

    def cancel(self, run: RunView, decision: Cancel) -> None:
        """Tell the runner to cancel the attempt."""
        self._stop(run, decision.runner, decision.attempt, StopAction(decision.action), AttemptState.CANCELLING)

    def abandon(self, run: RunView, decision: Abandon) -> None:
        """Tell the runner to stop an attempt that no longer holds its run."""
        logger.info(decision.message, extra={"run": run.run_id, "attempt": decision.attempt})
        self._stop(run, decision.runner, decision.attempt, StopAction.ABANDON, AttemptState.ABANDONED)

    def finish(self, run: RunView, decision: Finish) -> None:
        """End the run from outside."""
        logger.info("%s", decision.message, extra={"run": run.run_id, "attempt": run.attempt})
        self._cache.queue.finishing.add(run.run_id)
        self.counts[decision.reason] += 1
        self._start(self._finish(run, decision), f"finish {run.run_id}")

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        async def bounded() -> None:
            async with self._room:
                await work

        self._tasks.create_task(bounded(), name=name)

    async def _put(self, run: RunView, runner: R, decision: Assign) -> None:
        attempt = decision.attempt
        try:
            answer = await self._ports.assign(run, runner, decision)
        except NotSent as error:
            logger.debug("%s", error, extra={"run": run.run_id, "attempt": attempt})
            if isinstance(error, TokenRefused):
                runner.full = True  # until it is heard again: others may take the run
                runner.changed(time.monotonic())
            self._cache.not_accepted(run, runner, attempt, not_before=time.time() + _LATER_SECONDS)
            return
        except RunnerUnreachable as error:
            self._not_answered(run, runner, attempt, error)
            return
        self._tries.pop(run.run_id, None)
        match answer:
            case Accepted():
                self._cache.accepted(run, runner, attempt, time.time())
            case AlreadyFinished():
                self._cache.not_accepted(run, runner, attempt)
                self._cache.end(run.run_id, answer.outcome.status, attempt)
            case refusal:
                self._refused(run, runner, attempt, refusal)

    async def _finish(self, run: RunView, decision: Finish) -> None:
        try:
            ended = await self._ports.finish(run, decision)
        except RunnerUnreachable as error:
            logger.warning("the run could not be finished yet: %s", error, extra={"run": run.run_id})
            asyncio.get_running_loop().call_later(_LATER_SECONDS, self._finish_again, run.run_id)
            return
        if ended is None:
            self._cache.queue.finishing.discard(run.run_id)
            self._ports.reread(run.run_id)
        else:
            self._cache.end(run.run_id, ended.status, ended.attempt)

    def _finish_again(self, run_id: str) -> None:
        self._cache.queue.finishing.discard(run_id)
        self._cache.queue.add(run_id)

    def _not_answered(self, run: RunView, runner: R, attempt: int, error: RunnerUnreachable) -> None:
        self._tries[run.run_id] += 1
        tries = self._tries[run.run_id]
        give_up = tries > len(_RETRY_SECONDS)
        gone = runner.name not in self._cache.runners
        pause = 0.0 if gone else _RETRY_SECONDS[min(tries, len(_RETRY_SECONDS)) - 1]
        changes = {"attempt": attempt, "runner": runner.name, "holder": runner.holder, "unanswered": not give_up}
        if self._cache.not_accepted(run, runner, attempt, **changes, not_before=time.time() + pause):
            logger.info("%s", error, extra={"run": run.run_id, "attempt": attempt})
        if give_up:
            del self._tries[run.run_id]

    def _refused(self, run: RunView, runner: R, attempt: int, refusal: Refusal) -> None:
        changes = _unclaimed(run, attempt)
        match refusal:
            case Full():
                runner.full = True
                runner.changed(time.monotonic())
            case Draining():
                runner.draining = True
                runner.changed(time.monotonic())
            case BackOff():
                changes |= {"attempt": refusal.attempt, "runner": None, "holder": None, "suspect": refusal.suspect}
                changes |= {"status": RunStatus.PENDING, "not_before": time.time() + refusal.seconds}
            case Stale():
                changes |= {"attempt": max(run.attempt, refusal.attempt), "holder": None}
                changes |= self._look_again(run.run_id)
            case ThreadBusy():
                changes |= self._behind(run, refusal.by)
            case WrongRevision():
                pass  # the world knows by now where it belongs
            case NotFound():
                changes |= self._look_again(run.run_id)
            case UnknownGraph():
                self._invalid(run, runner, attempt, NO_SUCH_GRAPH.format(runner=runner.name, graph=refusal.graph))
                return
            case Invalid():
                self._invalid(run, runner, attempt, refusal.message)
                return
            case never:
                assert_never(never)
        self._cache.not_accepted(run, runner, attempt, **changes)

    def _behind(self, run: RunView, other: str) -> dict[str, Any]:
        """The order of a thread's runs is the database's: ours follows it."""
        if self._cache.put_behind(run.run_id, other):
            return {"not_before": time.time()}
        can_read = self._ports.reread(other)
        self._ports.reread(run.run_id)
        return {"not_before": time.time() + (_SECOND_LOOK_SECONDS if can_read else _LATER_SECONDS)}

    def _look_again(self, run_id: str) -> dict[str, Any]:
        """The database knows better: read it, and decide then."""
        self._ports.reread(run_id)
        return {"not_before": time.time() + _SECOND_LOOK_SECONDS}

    def _invalid(self, run: RunView, runner: R, attempt: int, message: str) -> None:
        if self._cache.not_accepted(run, runner, attempt):
            self.finish(run, Finish(Reason.INVALID_RUN, message))

    def _stop(self, run: RunView, runner_name: str, attempt: int, action: StopAction, state: AttemptState) -> None:
        runner = self._cache.runners[runner_name]
        self.counts[action] += 1
        runner.told_to_stop = True
        before = runner.reports[run.run_id]
        runner.set_report(run.run_id, Report(attempt, state, before.alone), time.monotonic())
        self._start(self._delete(run, runner, attempt, action), f"{action} {run.run_id}")

    async def _delete(self, run: RunView, runner: R, attempt: int, action: StopAction) -> None:
        try:
            known = await runner.client.stop(run.run_id, attempt, action)
        except RunnerUnreachable as error:
            logger.info("%s", error, extra={"run": run.run_id, "attempt": attempt})
            asyncio.get_running_loop().call_later(_LATER_SECONDS, self._stop_again, run.run_id, runner, attempt)
            return
        report = runner.reports.get(run.run_id)
        if report is not None and report.attempt == attempt and (not known or action is StopAction.ABANDON):
            runner.set_report(run.run_id, None, time.monotonic())
            self._cache.queue.add(run.run_id)

    def _stop_again(self, run_id: str, runner: R, attempt: int) -> None:
        report = runner.reports.get(run_id)
        if report is not None and report.attempt == attempt:
            runner.set_report(run_id, Report(attempt, AttemptState.RUNNING, report.alone), time.monotonic())
            self._cache.queue.add(run_id)


def _unclaimed(run: RunView, attempt: int) -> dict[str, Any]:
    """Who refuses an attempt does not have it, not even from an earlier try without an answer: its number is free."""
    if not run.unanswered:
        return {}
    return {"attempt": attempt - 1, "runner": None, "holder": None, "unanswered": False}
