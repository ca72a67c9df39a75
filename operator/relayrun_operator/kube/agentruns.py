"""The AgentRuns: as the API server has them, what is known of each run, and the status to write back.

The loop's cache knows the unfinished runs; here are the objects, those of finished runs too, and their status.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from relayrun_core.runner_protocol import Accepted, AlreadyFinished, EarlierRun, OutcomeBody, RunReport
from relayrun_core.states import Reason, RunStatus
from relayrun_operator.engine.reasons import AssignReason
from relayrun_operator.kube import names
from relayrun_operator.kube.events import About, EventPoster
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.reasons import ALREADY_EXECUTED, DIED, ENDED, NOT_AGAIN, NUMBERED, TOO_LARGE
from relayrun_operator.kube.records import RunRecord
from relayrun_operator.kube.status import Ending, Facts, continued, is_finished, is_waiting, run_status
from relayrun_operator.kube.writer import PATIENCE_SECONDS, StatusWriter

logger = logging.getLogger("relayrun.kube")

# Runs of the API are many and followed there: fewer writes for each, and Events only of what is unusual.
_PATIENCE_OF_API_RUNS_SECONDS = 1.0


class RunTarget:
    """An AgentRun as the status writer sees it."""

    def __init__(self, record: RunRecord) -> None:
        self.path = names.runs_path(record.namespace, record.name) + "/status"
        self._record = record

    def wanted(self) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """See Target."""
        record = self._record
        if record.gone:
            return None
        return record.resource_version, record.status, run_status(record.facts, record.status, time.time())

    def written(self, body: dict[str, Any]) -> None:
        """See Target."""
        saw(self._record, body)


class ContinuedTarget(RunTarget):
    """A paused AgentRun whose thread another one goes on with. All else of its status stays as it is."""

    def __init__(self, record: RunRecord, by: RunRecord) -> None:
        super().__init__(record)
        self._by = by.name

    def wanted(self) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """See Target."""
        record, now = self._record, time.time()
        # Its end may not have been written yet.
        status = run_status(record.facts, record.status, now) if record.facts.ending else record.status
        if record.gone or not is_waiting(status):
            return None
        return record.resource_version, record.status, continued(status, self._by, now)


class ObservedTarget(RunTarget):
    """A finished AgentRun whose spec has changed since: its time to live, say. Nothing else of its status changes."""

    def wanted(self) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """See Target."""
        record = self._record
        if record.gone:
            return None
        status = run_status(record.facts, record.status, time.time()) if record.facts.ending else record.status
        return record.resource_version, record.status, {**status, "observedGeneration": record.generation}


class AgentRuns:
    """AgentRuns by run id and by name."""

    def __init__(self, writer: StatusWriter, events: EventPoster, metrics: OperatorMetrics) -> None:
        self.by_run: dict[str, RunRecord] = {}
        self.by_key: dict[str, RunRecord] = {}
        #: By thread: the AgentRun that paused there last.
        self._paused: dict[str, RunRecord] = {}
        self._writer = writer
        self._events = events
        self._metrics = metrics

    def add(self, record: RunRecord) -> None:
        """An AgentRun that was not known."""
        self.by_key[record.key] = record
        self.by_run[record.run_id] = record
        if record.waiting:
            self._pause(record)

    def observe(self, record: RunRecord) -> None:
        """Say of a finished AgentRun that its spec was seen, whatever it is now."""
        if record.finished and not record.gone and record.generation != record.status.get("observedGeneration"):
            self._writer.touch(ObservedTarget(record), patience=0)

    def forget(self, record: RunRecord) -> None:
        """Its object is gone and nothing is left to do for it."""
        if self.by_key.get(record.key) is record:
            del self.by_key[record.key]
        if self.by_run.get(record.run_id) is record:
            del self.by_run[record.run_id]
        if record.thread_id and self._paused.get(record.thread_id) is record:
            del self._paused[record.thread_id]

    def unfinished(self) -> Iterable[RunRecord]:
        """The records of runs that have not ended."""
        return (record for record in self.by_run.values() if not record.finished)

    def waits(self, run_id: str, reason: str, message: str) -> None:
        """Nobody executes it now."""
        record = self._open(run_id)
        if record is None:
            return
        before = record.facts
        message = _for_people(record, message)
        record.facts = replace(before, assigned=False, assigned_reason=reason, assigned_message=message)
        if record.facts != before:
            self._touch(record)

    def assigned(self, run_id: str, attempt: int, reason: str, message: str) -> None:
        """A runner is asked to take it."""
        record = self._open(run_id)
        if record is not None:
            self._metrics.attempt_given(record.agent, reason)
            record.given = (attempt, reason, _for_people(record, message))

    def runs(self, run_id: str, runner: str, reported: Accepted | RunReport) -> None:
        """A runner executes it: it answered so, or reports so."""
        record, attempt = self._open(run_id), reported.attempt
        if record is None or attempt < record.facts.attempts:
            return
        facts = record.facts
        if facts.assigned and facts.attempts == attempt and facts.runner == _plain(runner):
            return
        record.facts = _running(record, _plain(runner), attempt, reported)
        self._count_start(record, attempt)
        self._continue(record)
        if record.inline or attempt > 1:
            reason = "Assigned" if attempt == 1 else "Resumed"
            self._events.post(about_run(record), reason, record.facts.assigned_message)
        self._touch(record)

    def lost(self, run_id: str) -> None:
        """Its runner is lost."""
        record = self._open(run_id)
        if record is not None and record.lost_at is None:
            record.lost_at = time.monotonic()

    def died(self, runner: str, why: str) -> None:
        """A runner's process or pod has died: what it executed, or did until it was given up, says why."""
        name = _plain(runner)
        for record in self.unfinished():
            if name in (record.facts.runner, record.facts.former) and record.facts.assigned is not None:
                record.facts = replace(record.facts, death=(name, why))
                self._touch(record)

    def ended(
        self, run_id: str, attempt: int, reported: AlreadyFinished | RunReport, runner: str | None = None
    ) -> None:
        """It has ended for good: a runner's stream says so, or the answer of a call."""
        record = self._open(run_id)
        if record is None:
            return
        if isinstance(reported, AlreadyFinished) and reported.earlier is not None:
            self._ended_before(record, reported, reported.earlier)
            return
        outcome = reported.outcome or OutcomeBody(status=RunStatus.CANCELLED)
        reason = outcome.reason or Reason.CANCELLED
        message = _with_details(record, _for_people(record, outcome.message) or ENDED.get(reason, ""), reported)
        output = outcome.output if record.inline else None
        if runner is not None and not (record.facts.assigned and record.facts.attempts == attempt):
            record.facts = _running(record, _plain(runner), attempt, reported)
        ending = Ending(reason, message, time.time(), output if isinstance(output, dict) else None)
        thread = reported.thread_id or record.facts.thread_id
        attempts = max(record.facts.attempts, attempt)
        failed = reported.failed_attempts or record.facts.failed_attempts
        record.facts = replace(record.facts, thread_id=thread, attempts=attempts, failed_attempts=failed, ending=ending)
        record.finished, record.spec, record.lost_at = True, None, None
        self._continue(record)
        if reason is Reason.WAITING_FOR_INPUT:
            self._pause(record)
        self._metrics.run_ended(record.agent, reason.status.value)
        unusual = reason not in (Reason.SUCCEEDED, Reason.WAITING_FOR_INPUT, Reason.CANCELLED)
        if record.inline or unusual or attempt > 1:
            self._events.post(about_run(record), reason.value, message, unusual=unusual)
        if record.gone:
            self.forget(record)
        else:
            self._writer.touch(RunTarget(record), patience=0)

    def _ended_before(self, record: RunRecord, reported: AlreadyFinished, earlier: EarlierRun) -> None:
        """An AgentRun of this name and spec was there before: it gets the end of that one."""
        reason, output = reported.outcome.reason or Reason.CANCELLED, reported.outcome.output
        end = _with_details(record, _for_people(record, reported.outcome.message) or ENDED.get(reason, ""), reported)
        message = NOT_AGAIN.format(run=earlier.run_id, end=end)
        ending = Ending(
            reason,
            message,
            time.time(),
            output if isinstance(output, dict) else None,
            already=True,
            completed_at=earlier.finished_at,
            continued=earlier.continued and reason is Reason.WAITING_FOR_INPUT,
        )
        record.facts = Facts(
            earlier.run_id,
            reported.thread_id or None,
            record.facts.generation,
            assigned=False,
            assigned_reason=ALREADY_EXECUTED,
            assigned_message=message,
            attempts=reported.attempt or 0,
            failed_attempts=reported.failed_attempts or 0,
            started_at=earlier.started_at,
            ending=ending,
        )
        record.finished, record.spec = True, None
        if reason is Reason.WAITING_FOR_INPUT and not ending.continued:
            self._pause(record)
        if record.gone:
            self.forget(record)
            return
        self._events.post(about_run(record), ALREADY_EXECUTED, message)
        self._writer.touch(RunTarget(record), patience=0)

    def refuse(self, record: RunRecord, message: str) -> None:
        """An AgentRun that can never run, because another one stands for the same run."""
        record.facts = replace(record.facts, ending=Ending(Reason.INVALID_RUN, message, time.time()))
        record.finished, record.spec = True, None
        self._events.post(about_run(record), Reason.INVALID_RUN.value, message, unusual=True)
        self._writer.touch(RunTarget(record), patience=0)

    def write_missed(self) -> None:
        """Have written whatever the API server has otherwise: a write, or the news that asked for one, may be lost."""
        for record in self.by_key.values():
            if record.gone or is_finished(record.status):
                continue  # what is finished there was written whole, and never changes
            if run_status(record.facts, record.status, time.time()) != record.status:
                self._touch(record)

    def finished_reason(self, run_id: str) -> Reason | None:
        """How a finished run ended, as far as its AgentRun says; None: it is unknown or unfinished."""
        record = self.by_run.get(run_id)
        if record is None or not record.finished:
            return None
        reported = record.facts.ending.reason.value if record.facts.ending else record.status.get("reason")
        return Reason(reported) if reported in set(Reason) else None

    def _pause(self, record: RunRecord) -> None:
        if record.thread_id and record.ttl_seconds is None:  # the others do not stay
            self._paused[record.thread_id] = record

    def _continue(self, record: RunRecord) -> None:
        """What has paused on its thread waits no longer."""
        paused = self._paused.pop(record.thread_id, None) if record.thread_id else None
        if paused is not None and paused is not record:
            self._writer.touch(ContinuedTarget(paused, record), patience=0)

    def _touch(self, record: RunRecord) -> None:
        patience = PATIENCE_SECONDS if record.inline else _PATIENCE_OF_API_RUNS_SECONDS
        self._writer.touch(RunTarget(record), patience=patience)

    def _open(self, run_id: str) -> RunRecord | None:
        record = self.by_run.get(run_id)
        return None if record is None or record.finished else record

    def _count_start(self, record: RunRecord, attempt: int) -> None:
        now = time.monotonic()
        if record.lost_at is not None:
            self._metrics.run_resumed(record.agent, now - record.lost_at)
            record.lost_at = None
        elif attempt == 1 and record.seen_at:
            self._metrics.run_started(record.agent, now - record.seen_at)


def _running(record: RunRecord, runner: str, attempt: int, reported: Accepted | AlreadyFinished | RunReport) -> Facts:
    given, reason, message = record.given
    if given != attempt:  # told by the runner before we knew, or by one that the last leader had asked
        reason = AssignReason.RUNNING if attempt == 1 else AssignReason.RESUMING
        message = f"attempt {attempt} is executed by runner {runner}"
    return replace(
        record.facts,
        thread_id=reported.thread_id or record.facts.thread_id,
        assigned=True,
        assigned_reason=reason,
        assigned_message=message,
        runner=runner,
        former=record.facts.runner if attempt > record.facts.attempts else record.facts.former,
        attempts=attempt,
        failed_attempts=reported.failed_attempts or record.facts.failed_attempts,
        started_at=record.facts.started_at or getattr(reported, "started_at", None) or time.time(),
    )


def saw(record: RunRecord, body: dict[str, Any]) -> None:
    """Take over what the API server tells of the object, unless it is older than what is known."""
    metadata = body["metadata"]
    if metadata["uid"] != record.uid or int(metadata["resourceVersion"]) < int(record.resource_version):
        return
    record.resource_version = metadata["resourceVersion"]
    record.status = dict(body.get("status") or {})
    record.ttl_seconds = body["spec"].get("ttlSecondsAfterFinished")
    if record.generation != metadata.get("generation"):
        record.generation = metadata.get("generation")
        record.facts = replace(record.facts, generation=record.generation)


def about_run(record: RunRecord) -> About:
    """The AgentRun, for its Events."""
    return About("AgentRun", record.namespace, record.name, record.uid)


def _for_people(record: RunRecord, message: str) -> str:
    """Runners and agents by their own names: an AgentRun only ever sees those of its own namespace."""
    return message.replace(f"{record.namespace}/", "")


def _with_details(record: RunRecord, message: str, reported: AlreadyFinished | RunReport) -> str:
    """With where a large output is, and with what a run that killed its runners died of."""
    outcome, facts = reported.outcome, record.facts
    if outcome is None:
        return message
    if record.inline and outcome.output_bytes is not None:
        earlier = reported.earlier if isinstance(reported, AlreadyFinished) else None
        run, thread = earlier.run_id if earlier else record.run_id, reported.thread_id or facts.thread_id
        message += "; " + TOO_LARGE.format(size=outcome.output_bytes, run=run, thread=thread)
    if outcome.reason is Reason.BACKOFF_LIMIT_EXCEEDED:
        attempts, failed = reported.attempt or facts.attempts, reported.failed_attempts or facts.failed_attempts
        if attempts > failed:
            message += NUMBERED.format(attempts=attempts)
        if facts.death is not None:
            message += f"; {DIED.format(runner=facts.death[0], why=facts.death[1])}"
    return message


def _plain(runner: str) -> str:
    """A runner's key without its namespace: the pod's name."""
    return runner.rpartition("/")[2]
