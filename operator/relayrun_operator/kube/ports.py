"""The ports on Kubernetes: runners are pods, called while the Lease holds; runs are AgentRuns, which show answers."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from relayrun_core.runner_protocol import (
    Accepted,
    AlreadyFinished,
    AssignAnswer,
    FinishRequest,
    Full,
    Invalid,
    KnownRequest,
    NotFound,
    OutcomeBody,
    ThreadBusy,
    WrongRevision,
)
from relayrun_core.states import CancelAction, Reason
from relayrun_operator.engine import AgentView, Assign, Finish, RunView, Wait
from relayrun_operator.kube import names
from relayrun_operator.kube.agentruns import AgentRuns, saw
from relayrun_operator.kube.agents import Agents
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError, NotLeading
from relayrun_operator.kube.keeping import RevisionKeeper
from relayrun_operator.kube.lease import Lease
from relayrun_operator.kube.manifests import run_owner
from relayrun_operator.kube.metrics import OperatorMetrics
from relayrun_operator.kube.pins import Pins
from relayrun_operator.kube.pool import KubePool
from relayrun_operator.kube.reasons import NOT_IN_DATABASE
from relayrun_operator.kube.records import AgentRecord, RunRecord, creation_of
from relayrun_operator.kube.revisions import agent_of_pool
from relayrun_operator.kube.runner import PodRunner
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.client import assign_request
from relayrun_operator.loop.ports import Ended
from relayrun_operator.loop.transport import NotSent, RunnerUnreachable

logger = logging.getLogger("relayrun.kube")

#: A question that no runner answered is asked again so soon.
_AGAIN_SECONDS = 0.5


class KubePorts:
    """See `Ports`."""

    def __init__(
        self,
        cache: Cache[PodRunner],
        agentruns: AgentRuns,
        agents: Agents,
        pool: KubePool,
        pins: Pins,
        keeper: RevisionKeeper,
        *,
        client: KubeClient,
        lease: Lease,
        metrics: OperatorMetrics,
    ) -> None:
        self._cache = cache
        self._agentruns = agentruns
        self._agents = agents
        self._pool = pool
        self._pins = pins
        self._keeper = keeper
        self._client = client
        self._lease = lease
        self._metrics = metrics

    @property
    def leads(self) -> bool:
        """See `Ports`."""
        return self._lease.held

    def agents(self) -> Iterable[AgentView]:
        """See `Ports`."""
        return (agent.view for agent in self._pools().values())

    def adjust(self, silent: frozenset[str]) -> None:
        """See `Ports`."""
        if self._lease.held:
            self._pins.adjust()
            self._pool.adjust(self._pools(), silent)
            self._keeper.keep(self._agents.by_key.values())
            self._agents.refresh(silent)

    def end_silent(self, runner: PodRunner) -> None:
        """See `Ports`."""
        self._pool.drain(runner)

    def resync(self) -> None:
        """See `Ports`."""
        self._agentruns.write_missed()

    async def assign(self, run: RunView, runner: PodRunner, decision: Assign) -> AssignAnswer:
        """See `Ports`."""
        record, agent = self._agentruns.by_run.get(run.run_id), self._pools().get(run.agent)
        if record is None or record.spec is None or agent is None:
            return NotFound()  # it ended, or its agent went, since this was decided
        if agent.spec.isolation == "Pod" and not await self._own(runner, record):
            return Full()
        create = creation_of(record, record.spec, agent.spec) if record.inline else None
        self._check()
        pinned = self._pins.must_stay(record, runner)
        answer = await runner.client.assign(run.run_id, assign_request(run, decision, create, pinned=pinned))
        match answer:
            case WrongRevision():
                self._pins.learn(run.run_id, answer.revision)
            case Accepted():
                self._pins.learn(run.run_id, str(runner.generation))
                if pinned:
                    await self._label(record, str(runner.generation))
                self._agentruns.runs(run.run_id, runner.name, answer)
            case AlreadyFinished():
                self._agentruns.ended(run.run_id, answer.attempt or decision.attempt, answer)
            case ThreadBusy():
                await self._end_there_too(runner, answer.by)
            case NotFound():
                return Invalid(message=NOT_IN_DATABASE.format(run=run.run_id))
            case _:
                pass  # decided about again, or finished as invalid
        return answer

    async def finish(self, run: RunView, decision: Finish) -> Ended:
        """Through a runner, which has the database; without one the AgentRun says it, and the API copies it."""
        record = self._agentruns.by_run.get(run.run_id)
        nobody_has_it = record is not None and record.inline and run.attempt == 0
        wanted = FinishRequest(reason=decision.reason, message=decision.message)
        if nobody_has_it and record is not None and record.spec_hash and decision.reason is Reason.CANCELLED:
            wanted = wanted.model_copy(update={"object": record.object, "spec_hash": record.spec_hash})
        runner = None if nobody_has_it and wanted.object is None else self._any_runner(run.agent)
        ended: AlreadyFinished | None = None
        if runner is not None:
            self._check()
            try:
                ended = await runner.client.finish(run.run_id, wanted)
            except RunnerUnreachable:
                if not nobody_has_it:
                    raise
        if ended is None:
            outcome = OutcomeBody(status=decision.reason.status, reason=decision.reason, message=decision.message)
            ended = AlreadyFinished(outcome=outcome)
        self._agentruns.ended(run.run_id, run.attempt, ended)
        return Ended(ended.outcome.status, max(ended.attempt or run.attempt, run.attempt + 1))

    async def displace(self, record: RunRecord, others: Sequence[str], action: CancelAction) -> None:
        """Cancel the runs before it on its thread, unless it was there before: then it does nothing."""
        wanted = KnownRequest(object=record.object, spec_hash=record.spec_hash)
        while not (record.finished or record.gone):
            runner = self._any_runner(record.agent) if self._lease.held else None
            try:
                if runner is not None:
                    if not await runner.client.is_known(record.run_id, wanted):
                        for other in others:
                            if other in self._cache.runs:
                                self._cache.see_cancel(other, cancel=action)
                    return
            except RunnerUnreachable as error:
                logger.info("%s", error, extra={"run": record.run_id})
            await asyncio.sleep(_AGAIN_SECONDS)

    def reread(self, run_id: str) -> bool:  # noqa: ARG002 - a port's shape
        """There is no database to read."""
        return False

    def report_assign(self, run: RunView, decision: Assign) -> None:
        """See `Ports`."""
        self._agentruns.assigned(run.run_id, decision.attempt, decision.reason.value, decision.message)

    def report_wait(self, run: RunView, decision: Wait) -> None:
        """See `Ports`."""
        self._agentruns.waits(run.run_id, decision.reason.value, decision.message)

    def report_loss(self, runner: PodRunner) -> None:
        """See `Ports`."""
        for run in self._cache.runs.values():
            if run.runner == runner.name:
                self._agentruns.lost(run.run_id)

    def report_round(self, seconds: float) -> None:
        """See `Ports`."""
        self._metrics.reconcile_seconds.observe(seconds)

    async def _label(self, record: RunRecord, revision: str) -> None:
        """Say on the AgentRun under which revision it goes on."""
        if record.label == revision:
            return
        patch = {"metadata": {"labels": {names.REVISION_LABEL: revision}}}
        try:
            saw(record, await self._client.patch(names.runs_path(record.namespace, record.name), patch))
        except KubeError as error:
            logger.info("its revision is not on AgentRun %s: %s", record.key, error, extra={"run": record.run_id})
        else:
            record.label = revision

    def _check(self) -> None:
        try:
            self._lease.check()
        except NotLeading as error:
            raise NotSent(f"no runner gets any orders now: {error}") from error

    async def _end_there_too(self, runner: PodRunner, other: str) -> None:
        """The database has another run of the thread first, whose AgentRun says that it has ended."""
        reason = self._agentruns.finished_reason(other)
        if reason is not None:
            await runner.client.finish(other, FinishRequest(reason=reason, message="its AgentRun had ended before"))

    async def _own(self, runner: PodRunner, record: RunRecord) -> bool:
        """With `Pod` isolation the pod goes with its AgentRun; a pod that has changed meanwhile is not for us."""
        if runner.owner == record.run_id:
            return True
        metadata = {
            "resourceVersion": runner.pod["metadata"]["resourceVersion"],
            "ownerReferences": [run_owner(record.name, record.uid)],
        }
        path = names.core_path(runner.namespace, "pods", runner.pod_name)
        try:
            runner.pod = await self._client.patch(path, {"metadata": metadata})
        except KubeError as error:
            logger.info("pod %s is not for this run: %s", runner.name, error, extra={"run": record.run_id})
            return False
        runner.owner = record.run_id
        runner.changed(runner.last_heard)
        return True

    def _pools(self) -> dict[str, AgentRecord]:
        return self._agents.by_key | self._pins.pools

    def _any_runner(self, agent: str) -> PodRunner | None:
        agent = agent_of_pool(agent)
        runners = (r for r in self._cache.runners.values() if agent_of_pool(r.agent) == agent)
        able = [r for r in runners if r.holder is not None and not r.gone]
        return min(able, key=lambda r: (r.draining, not r.ready, len(r.reports)), default=None)
