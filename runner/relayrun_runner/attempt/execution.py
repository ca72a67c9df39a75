"""One attempt at one run, from its claim to its end."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.store.base import BaseStore

from relayrun_core.database import Database
from relayrun_core.db.claim import release
from relayrun_core.db.finish import finish
from relayrun_core.db.journal import Event
from relayrun_core.db.notify import Hint
from relayrun_core.errors import RunNotFound, StaleAttempt
from relayrun_core.loopback import Caller
from relayrun_core.runs import Outcome, Run
from relayrun_core.states import CancelAction, Reason
from relayrun_runner.attempt.checkpoints import FencedSaver
from relayrun_runner.attempt.config import config_of, context_of
from relayrun_runner.attempt.events import EVENTS_MODE, EventEncoder, JournaledUpdates, chunks, is_cached
from relayrun_runner.attempt.outcome import failed_outcome, refused_outcome, settled_outcome, stopped_outcome
from relayrun_runner.attempt.resuming import Call, next_call
from relayrun_runner.attempt.writer import RunWriter
from relayrun_runner.author_errors import is_a, is_raised_by_us, safely
from relayrun_runner.errors import DatabaseAway, refusal
from relayrun_runner.graphs.loading import Graph, GraphRegistry
from relayrun_runner.graphs.serialize import dumps
from relayrun_runner.logs.places import PLACE, Place
from relayrun_runner.logs.storing import RunLogs
from relayrun_runner.loopback import CALLER
from relayrun_runner.process.loops import CURRENT_RUN, WorkerThreads
from relayrun_runner.retry import until_deadline
from relayrun_runner.runs.table import RunTable

logger = logging.getLogger("relayrun.runner")

# A subgraph's chunk reaches us within three turns of the loop (measured, for subgraphs in subgraphs too), and its next
# checkpoint does not wait for that by itself.
_TURNS_TO_TELL = 10


@dataclass(frozen=True)
class Services:
    """What every execution of a runner uses."""

    registry: GraphRegistry
    database: Database
    store: BaseStore | None
    table: RunTable
    workers: WorkerThreads
    hint: Hint
    logs: RunLogs


class Execution:
    """One attempt. `deadline` is in the loop's time."""

    def __init__(self, run: Run, services: Services, deadline: float) -> None:
        self.claimed = run
        self._services = services
        self._deadline = deadline
        self._control = RunControl()
        self._writer = RunWriter(services.database, run, deadline, services.table.metrics, services.hint)
        self._saver = FencedSaver(
            services.database, run, deadline, self._writer, self._told_so_far, services.registry.serializer
        )
        self._told = JournaledUpdates(services.database, run)
        self._telling = asyncio.Lock()
        self._rest: list[Event] = []
        self._stopped = False
        self._closing = False
        self._action: CancelAction | None = None
        self._work: asyncio.Task[Outcome | None] | None = None
        self._printed = services.logs.open(run)
        self._log = self._printed.fields

    def drain(self, reason: str) -> None:
        """Stop before the next step."""
        self._control.request_drain(reason)

    def stop(self, action: CancelAction | None) -> None:
        """Stop at once; None: another attempt has the run, so nothing of it is touched. Only the first call counts."""
        if self._stopped:
            return
        self._stopped = True
        self._action = action
        self._saver.is_stopping = True
        if self._work is not None:
            self._work.cancel()

    async def run(self) -> None:
        """Execute, and say on the table how it ended."""
        CURRENT_RUN.set(self.claimed.run_id)
        CALLER.set(Caller(self.claimed.run_id, self.claimed.attempt))
        PLACE.set(Place(self._printed))
        logger.info("run started", extra=self._log)
        run_id, attempt = self.claimed.run_id, self.claimed.attempt
        try:
            outcome = await self._until_outcome()
            if outcome is None:
                await self._release()
                self._services.table.drained(run_id, attempt)
                logger.info("run drained, it goes on elsewhere", extra=self._log)
                return
            outcome = await self._finish(outcome, self._services.hint)
            self._services.table.finished(run_id, attempt, outcome)
            logger.info("run ended: %s", outcome.reason.value, extra=self._log)
        except (StaleAttempt, RunNotFound, DatabaseAway, asyncio.CancelledError) as error:
            self._services.table.abandoned(run_id, attempt)
            logger.info("run abandoned here: %s", str(error) or "it was told to stop", extra=self._log)
        finally:
            self._printed.close()
            self._services.workers.forget(run_id)

    async def finish_stuck(self) -> None:
        """Finish the run as cancelled while its node still runs; the process ends behind this."""
        if self._action is not None:
            with suppress(StaleAttempt):
                self._rest = await self._writer.close()
                ignored = Outcome(Reason.CANCELLED, "the run was cancelled; its node ignored that")
                await self._finish(ignored, hint=None)  # nobody would send what gathers here

    async def _until_outcome(self) -> Outcome | None:
        """Run the graph beside its writer. None: drained. Raises StaleAttempt, DatabaseAway, CancelledError."""
        work = self._work = asyncio.create_task(self._run_graph(), name="graph")
        writing = asyncio.create_task(self._writer.run(), name="writer")
        if self._stopped:
            work.cancel()
        try:
            await asyncio.wait((work, writing), return_when=asyncio.FIRST_COMPLETED)
            if writing.done() and not work.done():
                writing.result()  # raises: the writer ends only by failing
            outcome = await work
            self._rest = await self._writer.close()
            if outcome is None:
                return None
            if (refused := self._writer.refused) is not None:
                return refused_outcome(refused, self.claimed.attempt)
            # What is kept of the state must not lie, whatever a node's own threads and tasks still wrote.
            return outcome if self._saver.is_as_left() else replace(outcome, head=None)
        finally:
            self._closing = True
            for task in (work, writing):
                task.cancel()
            await asyncio.gather(work, writing, return_exceptions=True)

    async def _run_graph(self) -> Outcome | None:
        run = self.claimed
        try:
            config = config_of(run)
            async with self._services.registry.open(run.graph, config, context=context_of(run)) as loaded:
                # Eager: else LangGraph holds a lone task's update back until its step's checkpoint is durable, and
                # a crash in between would lose it; so it is in the journal before the saver's barrier lets go.
                store = self._services.store or loaded.store
                graph = loaded.copy({"checkpointer": self._saver, "store": store, "stream_eager": True})
                return await self._call(graph, config)
        except BaseException as error:
            if self._is_told_to_stop(error) or _ours(error) is error:
                raise
            # The graph could not even be opened, or what it left could not be read.
            logger.warning("run failed before its graph ran", exc_info=error, extra=self._log)
            return refused_outcome(error, run.attempt)

    async def _call(self, graph: Graph, config: RunnableConfig) -> Outcome | None:
        made_by = self._services.registry.maker_of(self.claimed.graph)
        try:
            self._services.table.metrics.ids_ahead_seconds.set(await self._saver.begin())
            call = await next_call(graph, self._saver, self.claimed, _of_thread(config))
            if isinstance(call, Call):
                self._measure_resume()
                await self._stream(graph, config, call)
            outcome = await settled_outcome(graph, self._saver, _of_thread(config), made_by)
        except BaseException as error:
            if self._is_told_to_stop(error):
                if self._action is None:
                    raise
                # The grace ends the process if a thread never stops.
                await self._services.workers.idle(self.claimed.run_id)
                return await stopped_outcome(graph, self._saver, _of_thread(config), made_by)
            if is_a(error, GraphDrained) and self._control.drain_requested:
                return None
            if (lost := _ours(error)) is not None:
                raise lost from (None if lost is error else error)
            logger.info("the graph raised", exc_info=error, extra=self._log)
            outcome = await failed_outcome(graph, self._saver, _of_thread(config), error, made_by)
        return outcome

    def _is_told_to_stop(self, error: BaseException) -> bool:
        """Whether we have cancelled the run, and author code has not raised a CancelledError of its own."""
        return is_a(error, asyncio.CancelledError) and (self._stopped or self._closing)

    def _measure_resume(self) -> None:
        if self.claimed.attempt > 1:
            # A claim sets `updated_at`.
            seconds = (datetime.now(UTC) - self.claimed.updated_at).total_seconds()
            self._services.table.metrics.run_resume_seconds.observe(max(0.0, seconds))

    async def _stream(self, graph: Graph, config: RunnableConfig, call: Call) -> None:
        spec = self.claimed.spec
        configurable = dict(config["configurable"])
        if call.checkpoint_id is not None:
            configurable["checkpoint_id"] = call.checkpoint_id
        if call.checkpoint_map:
            configurable["checkpoint_map"] = dict(call.checkpoint_map)
        options: dict[str, Any] = {
            "context": context_of(self.claimed),
            "interrupt_before": spec.interrupt_before,
            "interrupt_after": spec.interrupt_after,
            "durability": spec.durability,
            "control": self._control,
        }
        where: RunnableConfig = {**config, "configurable": configurable}
        encoder = EventEncoder(spec)
        async for chunk in chunks(graph, call.input, where, spec, **options):
            async with self._telling:
                for name, data in encoder.encode(chunk):
                    if is_cached(chunk[1], data) and await self._told.contains(name, data):
                        continue
                    await self._writer.emit(name, dumps(data))

    async def _told_so_far(self) -> None:
        """Wait until we have what the graph has told so far; the writer commits it with the checkpoint."""
        if not (self.claimed.spec.stream_subgraphs or EVENTS_MODE in self.claimed.spec.stream_modes):
            return
        for _ in range(_TURNS_TO_TELL):
            await asyncio.sleep(0)
            async with self._telling:
                pass

    async def _finish(self, outcome: Outcome, hint: Hint | None) -> Outcome:
        """Finish the run; returned is how it ended. A value that is refused is the run's error, not this process's."""
        run_id, attempt, database = self.claimed.run_id, self.claimed.attempt, self._services.database
        try:
            await self._retried(lambda: finish(database, run_id, attempt, outcome, self._rest, hint), "finishing")
        except (StaleAttempt, RunNotFound, DatabaseAway):
            raise
        except Exception as error:
            logger.warning("what the run came to was refused", exc_info=error, extra=self._log)
            refused = refused_outcome(refusal(error, "what the run came to"), attempt)
            await self._retried(lambda: finish(database, run_id, attempt, refused, (), hint), "finishing the run")
            return refused
        return outcome

    async def _release(self) -> None:
        run_id, attempt, database = self.claimed.run_id, self.claimed.attempt, self._services.database
        try:
            await self._retried(lambda: release(database, run_id, attempt, self._rest), "giving the run back")
        except (StaleAttempt, RunNotFound, DatabaseAway):
            raise
        except Exception as error:
            logger.warning("the run's last events were refused", exc_info=error, extra=self._log)
            await self._retried(lambda: release(database, run_id, attempt, ()), "giving the run back")

    async def _retried(self, call: Any, what: str) -> None:
        # What was computed is worth more than the deadline: the engine decides about that one.
        await until_deadline(call, float("inf"), what)


def _of_thread(config: RunnableConfig) -> RunnableConfig:
    return {"configurable": {"thread_id": config["configurable"]["thread_id"]}}


def _ours(error: BaseException) -> StaleAttempt | DatabaseAway | None:
    """Our own exception, also where an exception group or the author's code has wrapped it; none that author code
    raised by itself, which would have its run tried for ever.
    """
    return safely(lambda: next(filter(is_raised_by_us, _lost_in(error)), None), None)


def _lost_in(error: BaseException) -> Iterator[StaleAttempt | DatabaseAway]:
    looked_at: set[int] = set()  # an author may have linked them in a ring, and nested groups as deep as memory allows
    found = [error]
    while found:
        seen = found.pop()
        if id(seen) in looked_at:
            continue
        looked_at.add(id(seen))
        if isinstance(seen, (StaleAttempt, DatabaseAway)):
            yield seen
        if isinstance(seen, BaseExceptionGroup):
            found.extend(seen.exceptions)
        if (linked := seen.__cause__ or seen.__context__) is not None:
            found.append(linked)
