"""Which pool a runner or a run belongs to: its Agent's, or that of a replaced revision whose open threads stay there.

To the engine such a pool is an agent of its own, `namespace/name@revision`, which has no runners while it has no runs.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from pydantic import ValidationError

from relayrun_core.kinds import AgentSpec
from relayrun_operator.kube.agentruns import AgentRuns
from relayrun_operator.kube.records import AgentRecord, RunRecord, agent_view
from relayrun_operator.kube.revisions import Revision, agent_of_pool, pin_ends_at, pinned, pool_name
from relayrun_operator.kube.runner import PodRunner
from relayrun_operator.loop.cache import Cache

logger = logging.getLogger("relayrun.kube")


class Pins:
    """The pools of replaced revisions. `wall` gives seconds since the epoch."""

    def __init__(
        self,
        cache: Cache[PodRunner],
        agents: dict[str, AgentRecord],
        agentruns: AgentRuns,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.pools: dict[str, AgentRecord] = {}
        self._cache = cache
        self._agents = agents
        self._agentruns = agentruns
        self._wall = wall

    def pool_of(self, agent: str, revision: str | None) -> str:
        """The pool for what began, or was made, under this revision."""
        pool = pool_name(agent, revision or "")
        return pool if pool in self.pools else agent

    def must_stay(self, record: RunRecord, runner: PodRunner) -> bool:
        """Whether the runner has to refuse the run if it, or its thread, began under another revision."""
        agent = self._agents.get(record.agent)
        if agent is None or agent.spec.update_strategy.threads != "Pin":
            return False
        if record.revision in (None, runner.generation):
            return True
        known = agent.revisions.get(record.revision or "")
        if known is None:
            return False
        ends = pin_ends_at(known, agent.spec.update_strategy)
        return ends is None or self._wall() < ends

    def learn(self, run_id: str, revision: str | None) -> None:
        """The run, or its thread, began under this revision."""
        record = self._agentruns.by_run.get(run_id)
        if record is not None and not record.finished and revision:
            record.revision = revision
            self.place(record)

    def place(self, record: RunRecord) -> None:
        """Put the run to the pool that it belongs to."""
        self._cache.move(record.run_id, self.pool_of(record.agent, record.revision))

    def see_agent(self, agent: AgentRecord, before: AgentRecord | None) -> None:
        """The Agent exists, or has changed: what has not begun yet, did so under the template before."""
        if before is not None and before.body["metadata"]["uid"] == agent.body["metadata"]["uid"]:
            agent.revisions, agent.unwritten = before.revisions, before.unwritten
            if before.view.generation != agent.view.generation:
                for record in self._agentruns.unfinished():
                    if record.agent == agent.key and record.revision is None:
                        record.revision = before.view.generation
        self.refresh(agent)

    def lose_agent(self, key: str) -> None:
        """The Agent is gone, and so are its revisions."""
        for pool in [pool for pool in self.pools if agent_of_pool(pool) == key]:
            del self.pools[pool]
        self._repool(key)

    def adjust(self) -> None:
        """See to all revisions and pools as they are now. Every pod has been seen."""
        for agent in list(self._agents.values()):
            self._replace(agent, self._wall())
            self.refresh(agent)

    def refresh(self, agent: AgentRecord) -> None:
        """Make the pools of the revisions that keep their threads now, and no others."""
        now = self._wall()
        self._note_current(agent, now)
        if self._set_pools(agent, pinned(agent.revisions.values(), agent.spec.update_strategy, now)):
            self._repool(agent.key)

    def _replace(self, agent: AgentRecord, now: float) -> None:
        current = agent.view.generation
        runners = [runner for runner in self._cache.runners.values() if agent_of_pool(runner.agent) == agent.key]
        served = any(runner.generation == current and runner.ready for runner in runners)
        for revision in list(agent.revisions.values()):
            live = any(runner.generation == revision.name and not runner.draining for runner in runners)
            if revision.name != current and revision.replaced_at is None and (served or not live):
                # Until the new one serves, the runners of the old one take what comes.
                agent.note(replace(revision, replaced_at=now))

    def _note_current(self, agent: AgentRecord, now: float) -> None:
        name = agent.view.generation
        known = agent.revisions.get(name)
        if known is None:
            number = max((revision.number for revision in agent.revisions.values()), default=0) + 1
            agent.note(Revision(name, number, dict(agent.body["spec"]), now))
        elif known.replaced_at is not None:
            agent.note(replace(known, replaced_at=None))  # a rollback

    def _set_pools(self, agent: AgentRecord, wanted: Iterable[Revision]) -> bool:
        pools = {pool_name(agent.key, revision.name): revision for revision in wanted}
        gone = [pool for pool in self.pools if agent_of_pool(pool) == agent.key and pool not in pools]
        for pool in gone:
            del self.pools[pool]
        changed = bool(gone)
        for pool, revision in pools.items():
            known = self.pools.get(pool)
            if known is not None and known.body is agent.body:
                continue
            made = _record(agent, revision, pool)
            if made is None:
                continue
            if known is not None:
                made.restarts, made.ready, made.refusal = known.restarts, known.ready, known.refusal
            self.pools[pool] = made
            changed = True
        return changed

    def _repool(self, agent: str) -> None:
        for runner in self._cache.runners.values():
            if agent_of_pool(runner.agent) == agent:
                pool = self.pool_of(agent, str(runner.generation))
                if pool != runner.agent:
                    runner.agent = pool
                    runner.changed(time.monotonic())
        for record in list(self._agentruns.unfinished()):
            if record.agent == agent:
                self.place(record)
        self._cache.queue.retry_waiting()


def _record(agent: AgentRecord, revision: Revision, pool: str) -> AgentRecord | None:
    """The pool as an agent of its own: no runners of its own accord, and the Agent's `suspend`."""
    try:
        spec = AgentSpec.model_validate(revision.spec)
    except ValidationError as error:
        logger.warning("revision %s of Agent %s is not understood any more: %s", revision.name, agent.key, error)
        return None
    spec = spec.model_copy(update={"suspend": agent.spec.suspend})
    view = replace(agent_view(pool, spec, revision.name), min_runners=0, spare=0)
    return AgentRecord(pool, agent.body, spec, view, {}, agent.resource_version, pinned=True)
