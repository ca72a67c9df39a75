"""Puts events of the API server into the caches: AgentRuns, Agents and pods, in whatever order they come.

Every method is idempotent and takes an object as it is now; a deletion is an object that is `gone`.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from relayrun_core.kinds import AgentRunSpec
from relayrun_core.states import CancelAction, Reason
from relayrun_operator.kube import names
from relayrun_operator.kube.agentruns import AgentRuns, saw
from relayrun_operator.kube.agents import Agents
from relayrun_operator.kube.conditions import seconds
from relayrun_operator.kube.deaths import Deaths
from relayrun_operator.kube.manifests import Installation
from relayrun_operator.kube.pins import Pins
from relayrun_operator.kube.reasons import REJECTED
from relayrun_operator.kube.records import RunRecord, cancel_of, head_of, parse_agent, parse_run
from relayrun_operator.kube.revisions import parse_revision
from relayrun_operator.kube.runner import (
    PodRunner,
    agent_of,
    has_been_ready,
    has_ended,
    is_serving,
    key_of,
    owner_run,
    startup_of,
)
from relayrun_operator.loop.cache import Cache
from relayrun_operator.loop.client import RunnerClient
from relayrun_operator.loop.transport import Tokens

logger = logging.getLogger("relayrun.kube")

Body = Mapping[str, Any]

#: Of a pod that has failed there is no one exit code. What it never was, ready, the next one may not be either.
_FAILED = 1


class Observer:
    """Puts objects into AgentRuns, cache and Agents. `listen` is called with a runner that has an address."""

    def __init__(
        self,
        cache: Cache[PodRunner],
        agentruns: AgentRuns,
        agents: Agents,
        deaths: Deaths,
        pins: Pins,
        *,
        tokens: Mapping[str, Tokens],
        installation: Installation,
        listen: Callable[[PodRunner], None],
        leave: Callable[[PodRunner], None],
        wake: Callable[[], None],
        displace: Callable[[RunRecord, list[str], CancelAction], None],
    ) -> None:
        #: When the API server was heard last (monotonic): events, relists.
        self.heard_at = time.monotonic()
        self._cache = cache
        self._agentruns = agentruns
        self._agents = agents
        self._deaths = deaths
        self._pins = pins
        self._began_at = int(time.time())  # as exact as creation times are
        self._tokens = tokens
        self._installation = installation
        self._listen = listen
        self._leave = leave
        self._wake = wake
        self._displace = displace
        self._arrivals = 0

    def see_run(self, body: Body) -> None:
        """An AgentRun exists, or has changed."""
        self.heard_at = time.monotonic()
        if body["spec"].get("managedBy"):
            return
        metadata = body["metadata"]
        known = self._agentruns.by_key.get(f"{metadata['namespace']}/{metadata['name']}")
        before = None
        if known is not None and known.uid != metadata["uid"]:
            self.lose_run(known)
            before, known = known, None
        if known is None:
            known = self._add_run(body)
            if known is not None and before is not None:
                # How the one before it ended is known first: it may have been the same.
                self._cache.put_behind(known.run_id, before.run_id)
        else:
            saw(known, dict(body))
        if known is None:
            return
        if known.finished:
            self._agentruns.observe(known)
            return
        action = body["spec"].get("cancel")
        deleted = bool(metadata.get("deletionTimestamp"))
        if known.spec is not None and (action or deleted):
            cancel = cancel_of(known.spec.model_copy(update={"cancel": action}))
            self._cache.see_cancel(known.run_id, cancel=cancel, deleted=deleted)

    def lose_run(self, record: RunRecord) -> None:
        """The AgentRun does not exist any more: its run is cancelled, unless it had ended."""
        self.heard_at = time.monotonic()
        record.gone = True
        if record.finished or record.run_id not in self._cache.runs:
            self._agentruns.forget(record)
        else:
            self._cache.see_cancel(record.run_id, deleted=True)

    def lose_run_of(self, body: Body) -> None:
        """A deletion was told."""
        metadata = body["metadata"]
        record = self._agentruns.by_key.get(f"{metadata['namespace']}/{metadata['name']}")
        if record is not None and record.uid == metadata["uid"]:
            self.lose_run(record)

    def see_agent(self, body: Body) -> None:
        """An Agent exists, or has changed."""
        self.heard_at = time.monotonic()
        try:
            agent = parse_agent(body, self._installation)
        except ValidationError as error:
            logger.warning("Agent %s is not understood: %s", body["metadata"].get("name"), error)
            return
        known = self._agents.by_key.get(agent.key)
        if known is not None:
            if int(agent.resource_version) < int(known.resource_version):
                return
            agent.refusal, agent.failure, agent.ready = known.refusal, known.failure, known.ready
            if known.body["metadata"]["uid"] == agent.body["metadata"]["uid"]:
                agent.service_made, agent.min_available = known.service_made, known.min_available
                agent.deaths = known.deaths
            agent.restarts = known.restarts if known.view == agent.view else known.restarts.renewed()
        self._agents.by_key[agent.key] = agent
        self._pins.see_agent(agent, known)
        if known is None or known.view != agent.view:
            self._touch_runs_of(agent.key)

    def see_revision(self, body: Body) -> None:
        """A revision of an Agent was kept; Agents are seen first."""
        with suppress(KeyError):  # not ours, or of an Agent that is gone
            key, revision = parse_revision(body)
            agent = self._agents.by_key[key]
            owners = body["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == agent.body["metadata"]["uid"] for owner in owners):
                agent.revisions[revision.name] = revision
                agent.unwritten.discard(revision.name)
                self._pins.refresh(agent)

    def lose_agent(self, body: Body) -> None:
        """The Agent does not exist any more; its pods go with it, its runs wait for one of that name."""
        self.heard_at = time.monotonic()
        metadata = body["metadata"]
        key = f"{metadata['namespace']}/{metadata['name']}"
        self._agents.by_key.pop(key, None)
        self._pins.lose_agent(key)
        self._touch_runs_of(key)

    def see_pod(self, body: Body) -> None:
        """A runner's pod exists, or has changed."""
        self.heard_at = time.monotonic()
        if names.AGENT_LABEL not in (body["metadata"].get("labels") or {}):
            return
        key = key_of(body)
        runner = self._cache.runners.get(key)
        if runner is not None and runner.uid != body["metadata"]["uid"]:
            self.lose_pod(key)
            runner = None
        if has_ended(body):
            if runner is not None:
                runner.pod = dict(body)
                self._note_end(runner)
                self.lose_pod(key)
            self._leave(self._new_runner(body))
            return
        if runner is None:
            runner = self._new_runner(body)
            self._cache.runners[key] = runner
        self._update(runner, body)

    def lose_pod(self, key: str) -> None:
        """The pod does not exist any more. It was deleted, so what it executed is not to blame."""
        self.heard_at = time.monotonic()
        runner = self._cache.runners.get(key)
        if runner is None:
            return
        runner.client.close()
        self._deaths.see_end(runner)
        for run in self._cache.runs.values():
            if run.runner == key:
                self._agentruns.lost(run.run_id)
        crashed = has_ended(runner.pod) and not runner.draining
        self._cache.remove_runner(key, excused=not crashed)
        self._leave(runner)
        self._wake()

    def _note_end(self, runner: PodRunner) -> None:
        """Its pod has failed: the kubelet refused or evicted it."""
        agent = self._agents.by_key.get(runner.agent) or self._pins.pools.get(runner.agent)
        if agent is not None and not runner.draining and runner.generation == agent.view.generation:
            now, ready = time.monotonic(), runner.ready or runner.was_ready
            agent.restarts = agent.restarts.ended(_FAILED, was_ready=ready, started_at=runner.started_at, now=now)

    def _add_run(self, body: Body) -> RunRecord | None:
        try:
            record = parse_run(body)
        except ValidationError as error:
            logger.warning("AgentRun %s is not understood: %s", body["metadata"].get("name"), error)
            return None
        record.seen_at = time.monotonic()
        other = self._agentruns.by_run.get(record.run_id)
        if other is not None:
            self._agentruns.by_key[record.key] = record
            message = f"run {record.run_id} has an AgentRun already: {other.key}"
            logger.warning("%s", message)
            if not record.finished:
                self._agentruns.refuse(record, message)
            return record
        self._agentruns.add(record)
        if record.spec is not None:
            self._arrivals += 1
            # Creation times have a resolution of one second; within it, the order in which they were told.
            order = (int(record.created_at) << 24) + self._arrivals
            agent = self._agents.by_key.get(record.agent)
            head = head_of(record, record.spec, agent.spec if agent else None, order)
            self._cache.see_row(head)
            self._pins.place(record)
            self._apply_strategy(record, record.spec)
        return record

    def _apply_strategy(self, record: RunRecord, spec: AgentRunSpec) -> None:
        """What becomes of a run from kubectl and of those before it; the API's own were accepted by the database."""
        run = self._cache.runs.get(record.run_id)
        if not record.inline or record.facts.attempts or run is None or spec.multitask_strategy == "Enqueue":
            return
        older = [self._cache.runs[other] for other in self._cache.siblings(record.run_id)]
        older = [other for other in older if other.order < run.order]
        if spec.multitask_strategy == "Reject":
            if older:
                self._cache.end(record.run_id, Reason.INVALID_RUN.status, 0)
                self._agentruns.refuse(record, REJECTED)
            return
        if older:
            action = CancelAction(spec.multitask_strategy.lower())
            self._displace(record, [other.run_id for other in older], action)

    def _new_runner(self, body: Body) -> PodRunner:
        metadata = body["metadata"]
        ip = (body.get("status") or {}).get("podIP") or ""
        now = time.monotonic()
        return PodRunner(
            name=key_of(body),
            agent=self._pins.pool_of(agent_of(body), metadata["labels"].get(names.TEMPLATE_LABEL)),
            generation=metadata["labels"].get(names.TEMPLATE_LABEL, ""),
            client=RunnerClient(ip, names.PORT, self._tokens[metadata["namespace"]]),
            slots=1,
            started_at=now,
            last_heard=now,
            unready_since=now,
            uid=metadata["uid"],
            ip="",
            pod=dict(body),
            deaths={} if (seconds(metadata["creationTimestamp"]) or 0) >= self._began_at else None,
        )

    def _update(self, runner: PodRunner, body: Body) -> None:
        self._deaths.see_pod(runner, runner.pod, body)
        if startup_of(body) is not startup_of(runner.pod):
            runner.unready_since = time.monotonic()
        runner.pod = dict(body)
        runner.was_ready = runner.was_ready or runner.ready or has_been_ready(body)
        uid = owner_run(body)
        if uid is not None and runner.owner is None:
            owner = next((r for r in self._agentruns.by_key.values() if r.uid == uid), None)
            runner.owner = owner.run_id if owner else uid
        ip = (body.get("status") or {}).get("podIP") or ""
        if ip and ip != runner.ip:
            runner.ip = ip
            runner.client.close()
            runner.client = RunnerClient(ip, names.PORT, self._tokens[runner.namespace])
            self._listen(runner)
        if is_serving(body) and not runner.serving:
            runner.serving = True
            if runner.holder is None:
                runner.last_heard = time.monotonic()  # before, it could not have been heard
        if body["metadata"].get("deletionTimestamp") and not runner.draining:
            runner.draining = True
        runner.changed(time.monotonic())
        self._wake()

    def _touch_runs_of(self, agent: str) -> None:
        self._cache.queue.add(*(run.run_id for run in self._cache.runs.values() if run.agent == agent))
        self._cache.queue.retry_waiting()


def by_creation(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """AgentRuns in the order of their creation; within a second by name, which for the API's is by time as well."""
    return sorted(bodies, key=lambda body: (body["metadata"]["creationTimestamp"], body["metadata"]["name"]))
