"""Carries out decisions on Kubernetes: runners are asked, as long as the Lease holds; the book learns every answer."""

import asyncio
import logging
import time
from typing import Any

from relayrun_core.states import RunStatus
from relayrun_operator.engine import Assign, Finish, RunView
from relayrun_operator.kube import names
from relayrun_operator.kube.book import RunBook
from relayrun_operator.kube.client import KubeClient
from relayrun_operator.kube.errors import KubeError, NotLeading
from relayrun_operator.kube.lease import Lease
from relayrun_operator.kube.manifests import run_owner
from relayrun_operator.kube.reasons import NOT_IN_DATABASE
from relayrun_operator.kube.records import AgentRecord, RunRecord, creation_of
from relayrun_operator.kube.runner import PodRunner
from relayrun_operator.world.calls import LATER_SECONDS, RunnerCalls
from relayrun_operator.world.client import Accepted, AlreadyFinished, Answer, Refused
from relayrun_operator.world.errors import NotSent, RunnerUnreachable
from relayrun_operator.world.memory import Memory

logger = logging.getLogger("relayrun.kube")


class KubeCalls(RunnerCalls[PodRunner]):
    """Carries out decisions on runner pods and AgentRuns."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        memory: Memory[PodRunner],
        *,
        client: KubeClient,
        lease: Lease,
        book: RunBook,
        agents: dict[str, AgentRecord],
    ) -> None:
        super().__init__(tasks, memory, lambda _: None)  # there are no rows to read
        self._client = client
        self._lease = lease
        self._book = book
        self._agents = agents

    def assign(self, run: RunView, decision: Assign) -> None:
        """Give the attempt to the runner."""
        self._book.given(run.run_id, decision.attempt, decision.reason.value, decision.message)
        super().assign(run, decision)

    async def _send(self, run: RunView, runner: PodRunner, decision: Assign) -> Answer:
        record, agent = self._book.by_run.get(run.run_id), self._agents.get(run.agent)
        if record is None or record.spec is None or agent is None:
            return Refused("NotFound", {})  # it ended, or its agent went, since this was decided
        if agent.spec.isolation == "Pod" and not await self._own(runner, record):
            return Refused("Full", {})
        create = creation_of(record, record.spec, agent.spec) if record.inline else None
        self._check()
        answer = await runner.client.assign(
            run.run_id,
            decision.attempt,
            run.graph,
            excused=decision.excused,
            alone=decision.alone,
            create=create,
        )
        self._learn(run, runner, decision.attempt, answer)
        if isinstance(answer, Refused) and answer.reason == "ThreadBusy":
            await self._end_there_too(runner, str(answer.detail.get("by")))
        if isinstance(answer, Refused) and answer.reason == "NotFound":
            return Refused("Invalid", {"message": NOT_IN_DATABASE.format(run=run.run_id)})
        return answer

    def _learn(self, run: RunView, runner: PodRunner, attempt: int, answer: Answer) -> None:
        match answer:
            case Accepted(detail=detail):
                self._book.runs(run.run_id, runner.name, attempt, detail)
            case AlreadyFinished(detail=detail):
                self._book.ended(run.run_id, int(detail.get("attempt") or attempt), detail)
            case Refused():
                pass  # decided about again, or finished as invalid

    async def _end_there_too(self, runner: PodRunner, other: str) -> None:
        """The database has another run of the thread first, whose AgentRun says that it has ended."""
        reason = self._book.finished_reason(other)
        if reason is not None:
            await runner.client.finish(other, reason.value, "its AgentRun had ended before")

    def _behind(self, run: RunView, other: str) -> dict[str, Any]:
        """The order of a thread's runs is the database's: ours follows it."""
        known = self._memory.put_behind(run.run_id, other)
        return {"not_before": time.time() + (0.0 if known else LATER_SECONDS)}

    def _check(self) -> None:
        try:
            self._lease.check()
        except NotLeading as error:
            raise NotSent(f"no runner is told anything now: {error}") from error

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

    async def _finish(self, run: RunView, decision: Finish) -> None:
        """Through a runner, which has the database; without one the AgentRun says it, and the API copies it."""
        record = self._book.by_run.get(run.run_id)
        nobody_has_it = record is not None and record.inline and run.attempt == 0
        runner = None if nobody_has_it else self._any_runner(run.agent)
        detail: dict[str, Any] | None = None
        if runner is not None:
            try:
                self._check()
                detail = await runner.client.finish(run.run_id, decision.reason.value, decision.message)
            except RunnerUnreachable as error:
                logger.info("%s", error, extra={"run": run.run_id})
                asyncio.get_running_loop().call_later(LATER_SECONDS, self._finish_again, run.run_id)
                return
        ended = detail or {"outcome": {"reason": decision.reason.value, "message": decision.message}}
        status = RunStatus((detail or {}).get("outcome", {}).get("status") or decision.reason.status)
        attempt = int(ended.get("attempt") or run.attempt)
        self._book.ended(run.run_id, run.attempt, ended)
        self._memory.end(run.run_id, status, max(attempt, run.attempt + 1))

    def _any_runner(self, agent: str) -> PodRunner | None:
        able = [r for r in self._memory.runners.values() if r.agent == agent and r.holder is not None and not r.gone]
        return min(able, key=lambda r: (r.draining, not r.ready, len(r.reports)), default=None)
