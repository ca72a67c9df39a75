"""PUT and DELETE of a run: slot, claim, hand-over to the executor.

```
 PUT ─▶ reserve a slot ─▶ claim in Postgres ─▶ table: Running ─▶ executor.start on the graphs' loop ─▶ 202
            │ no               │ no
            ▼                  ▼
        409 and why        slot given back, 200 / 404 / 409 / 503 and why
```
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, assert_never
from uuid import UUID

import psycopg

from relayrun_core.database import Database, is_transient
from relayrun_core.db import claim as claims
from relayrun_core.db.finish import finish_from_outside
from relayrun_core.db.identities import Earlier, Identity, is_known, note_cancelled
from relayrun_core.db.runs import ensure_run, get_run
from relayrun_core.db.threads import thread_id_of, thread_ids_of
from relayrun_core.errors import (
    CheckpointNotFound,
    ResumeConflict,
    RunFinished,
    RunNotFound,
    ThreadBusyError,
    ThreadInterrupted,
    ThreadNotFound,
)
from relayrun_core.ids import uuid_of
from relayrun_core.runner_protocol import (
    Accepted,
    AssignRequest,
    AttemptState,
    BackOff,
    Draining,
    Full,
    Invalid,
    NewRunBody,
    NotFound,
    Refusal,
    Stale,
    ThreadBusy,
    Unavailable,
    UnknownGraph,
    WrongRevision,
)
from relayrun_core.runs import NewRun, Outcome, Run
from relayrun_core.states import CancelAction
from relayrun_runner.errors import DatabaseAway
from relayrun_runner.process.exits import end_process
from relayrun_runner.process.graphs_loop import GraphsLoop
from relayrun_runner.retry import until_deadline
from relayrun_runner.runs.entries import Answer, ended, ended_before, known
from relayrun_runner.runs.stopping import Stopper
from relayrun_runner.runs.table import Reservation, RunTable

log = logging.getLogger("relayrun.runner")

# The caller waits for seconds, and then asks again anyway.
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class Holder:
    """Who claims: the runner's name, the UUID of this very process, and its revision, which a cluster gives it."""

    runner: str
    holder: UUID
    revision: str | None = None


class Assigner:
    """Takes runs for this runner. Lives on the protocol's loop; `tasks` owns what outlives a request."""

    def __init__(
        self,
        holder: Holder,
        database: Database,
        table: RunTable,
        graphs_loop: GraphsLoop,
        tasks: asyncio.TaskGroup,
        cancel_grace_seconds: float,
        end: Callable[[int, str], NoReturn] = end_process,
    ) -> None:
        self._holder = holder
        self._database = database
        self._table = table
        self._graphs_loop = graphs_loop
        self._tasks = tasks
        self._stopper = Stopper(database, table, graphs_loop, tasks, cancel_grace_seconds, end)
        self._graphs: frozenset[str] = frozenset()
        self._under_way: dict[tuple[UUID, int], asyncio.Task[Answer]] = {}

    def offer(self, graphs: list[str]) -> None:
        """The graphs that are loaded, from now on."""
        self._graphs = frozenset(graphs)

    async def put(self, run_id: UUID, wanted: AssignRequest) -> Answer:
        """Take the run. The same attempt told twice, even at the same time, is taken once."""
        key = (run_id, wanted.attempt)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = self._tasks.create_task(self._put(run_id, wanted))
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        # A caller that goes away must not cancel a claim half way.
        return await asyncio.shield(task)

    async def finish(self, run_id: UUID, outcome: Outcome, identity: Identity | None = None) -> Answer:
        """End a run by the world's decision: a deadline, a cancel that nobody else can carry out, an invalid run.

        `identity`: of an AgentRun whose run may be in no database yet.
        """
        try:
            await finish_from_outside(self._database, run_id, outcome)
        except RunNotFound:
            if identity is not None:
                await note_cancelled(self._database, identity, run_id)
            return NotFound()
        except RunFinished:
            log.debug("it had ended before", extra={"run": str(run_id)})
        run = await get_run(self._database, run_id)
        return NotFound() if run is None else await ended(self._database, run, inline=False)

    async def is_known(self, run_id: UUID, identity: Identity) -> bool:
        """Whether an AgentRun of this identity was there before, with another run."""
        return await is_known(self._database, identity, run_id)

    async def delete(self, run_id: UUID, attempt: int, action: CancelAction | None) -> Answer:
        """Tell the run to stop; `action` None abandons it. Nothing happens for another attempt than the one named."""
        if task := self._under_way.get((run_id, attempt)):
            await asyncio.shield(task)
        entry = self._table.get(run_id, attempt)
        if entry is None or entry.state is AttemptState.CLAIMING:
            return NotFound()
        if entry.state.holds:
            self._stopper.stop(entry, action)
        return Accepted(run_id=str(run_id), attempt=attempt)

    async def threads_named(self, owner: str | None, names: Sequence[str]) -> list[UUID]:
        """The ids of the threads that an owner calls so."""
        return await thread_ids_of(self._database, owner, names)

    async def _put(self, run_id: UUID, wanted: AssignRequest) -> Answer:
        if not self._graphs_loop.is_open:
            return Unavailable(reason="NotReady")
        match self._table.reserve(run_id, wanted.attempt, alone=wanted.alone):
            case Reservation.KNOWN:
                return known(self._table.get(run_id, wanted.attempt), run_id, wanted.attempt)
            case Reservation.FULL:
                return self._refuse(Full())
            case Reservation.DRAINING:
                return self._refuse(Draining())
            case Reservation.RESERVED:
                pass
            case never:
                assert_never(never)
        try:
            return await self._claim(run_id, wanted)
        except Exception as error:
            if is_transient(error) or isinstance(error, (psycopg.errors.LockNotAvailable, DatabaseAway)):
                log.warning("no claim, the database does not answer: %s", error, extra={"run": str(run_id)})
                return Unavailable(reason="DatabaseAway")
            # One run that can not be read must not end the task group, and with it this runner.
            log.exception("no claim", extra={"run": str(run_id)})
            return Invalid(message=f"{type(error).__name__}: {error}")
        finally:
            self._table.unreserve(run_id, wanted.attempt)  # does nothing once the run has started

    async def _claim(self, run_id: UUID, wanted: AssignRequest) -> Answer:
        graph = wanted.graph
        if wanted.create is not None:
            graph = graph or self._only_graph()
            if graph is None:
                return self._refuse(Invalid(message=self._which_graph()))
        elif graph is None:
            run = await get_run(self._database, run_id)  # only callers of other versions leave it out
            if run is None:
                return NotFound()
            graph = run.graph
        if graph not in self._graphs:
            return self._refuse(UnknownGraph(graph=graph))
        if wanted.create is not None and (refused := await self._accept(run_id, wanted.create, graph)) is not None:
            return refused
        who = self._holder
        alone = self._table.is_alone(run_id)
        terms = claims.Claim(
            run_id,
            wanted.attempt,
            who.holder,
            who.runner,
            wanted.excused,
            alone,
            announce=True,
            revision=who.revision,
            pinned=wanted.pinned,
        )
        # After a restart of Postgres every pooled connection is dead once; a claim may be told twice.
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        claim = partial(claims.claim, self._database, terms)
        inline = wanted.create is not None
        return await self._answer(await until_deadline(claim, deadline, "claiming"), inline=inline)

    async def _accept(self, run_id: UUID, create: NewRunBody, graph: str) -> Answer | None:
        """Accept a run that came with its AgentRun. None: it can be claimed; else the answer."""
        try:
            new = await self._new_run(run_id, create, graph)
            earlier = await ensure_run(self._database, new, create.spec_hash)
        except ThreadNotFound:
            message = f"thread {create.thread_name or create.thread_id} belongs to another owner"
            return self._refuse(Invalid(message=message))
        except (ThreadBusyError, ThreadInterrupted, ResumeConflict, CheckpointNotFound) as error:
            return self._refuse(Invalid(message=str(error)))
        except RunNotFound:
            return NotFound()
        return None if earlier is None else await self._ended_before(earlier)

    async def _ended_before(self, earlier: Earlier) -> Answer:
        """The answer about an AgentRun that was there before."""
        run = earlier.run
        if run is not None and not run.status.finished:
            return self._refuse(ThreadBusy(by=str(run.run_id)))  # its AgentRun was deleted, so it ends soon
        return await ended_before(self._database, earlier)

    async def _new_run(self, run_id: UUID, body: NewRunBody, graph: str) -> NewRun:
        """The world has no database: what a thread's name means only this side knows."""
        name, thread_id = body.thread_name, body.thread_id
        if name is not None:
            thread_id = uuid_of(name) or await thread_id_of(self._database, body.owner, name)
        return NewRun(
            run_id=run_id,
            thread_id=thread_id,
            agent=body.agent,
            graph=graph,
            spec=body.spec,
            owner=body.owner,
            thread_name=None if name is None or uuid_of(name) else name,
            object=body.object,
        )

    async def _answer(self, answer: claims.Answer, *, inline: bool) -> Answer:
        match answer:
            case claims.Claimed(run):
                return await self._execute(run, inline=inline)
            case claims.Finished(run):
                return await ended(self._database, run, inline=inline)
            case claims.Stale(newest):
                return self._refuse(Stale(attempt=newest))
            case claims.ThreadBusy(by):
                return self._refuse(ThreadBusy(by=str(by)))
            case claims.BackOff(seconds, suspect, newest):
                return self._refuse(BackOff(seconds=seconds, suspect=suspect, attempt=newest))
            case claims.WrongRevision(revision):
                return self._refuse(WrongRevision(revision=revision))
            case claims.NotFound():
                return NotFound()
            case never:
                assert_never(never)

    def _only_graph(self) -> str | None:
        return next(iter(self._graphs)) if len(self._graphs) == 1 else None

    def _which_graph(self) -> str:
        return f"the agent has several graphs, name one of them: {', '.join(sorted(self._graphs))}"

    async def _execute(self, run: Run, *, inline: bool) -> Answer:
        if self._table.draining:
            await claims.release(self._database, run.run_id, run.attempt)
            return self._refuse(Draining())
        for entry in self._table.older(run.run_id, run.attempt):
            # The world thought it lost while it ran here: it is fenced off already, and only wastes a slot.
            self._stopper.stop(entry, None)
        self._table.started(run, inline=inline)
        self._graphs_loop.start(run)
        return Accepted(
            run_id=str(run.run_id),
            thread_id=str(run.thread_id),
            attempt=run.attempt,
            started_at=run.started_at.timestamp() if run.started_at else None,
            failed_attempts=run.failed_attempts,
        )

    def _refuse(self, refusal: Refusal) -> Refusal:
        self._table.metrics.refusals.add(refusal.reason)
        return refusal
