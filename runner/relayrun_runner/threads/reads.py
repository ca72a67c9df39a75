"""What threads' states are and were. Reading goes past the fence, and off the graphs' loop."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.base import BaseStore

from relayrun_core.runs import told
from relayrun_runner.gate import Gate
from relayrun_runner.graphs import Graph, GraphRegistry
from relayrun_runner.serialize import dumps_kept
from relayrun_runner.threads.bodies import HistoryQuestion, Place, StateQuestion
from relayrun_runner.threads.history import history_pages
from relayrun_runner.threads.naming import factory_config, graph_name
from relayrun_runner.threads.onlookers import nobody_looks_on
from relayrun_runner.threads.pace import Pace
from relayrun_runner.threads.reading import ReadingThread
from relayrun_runner.threads.sharing import SharedValues, SharingSaver
from relayrun_runner.threads.snapshots import output_keys, thread_state

# For one state, and for each page of a history.
_PATIENCE_SECONDS = 25.0
# A factory of the author's may take its time; a loop that is blocked for longer is not worth waiting for.
_OPENING_SECONDS = 20.0


class ThreadReads:
    """Answers about threads' states, as JSON; asked on the protocol's loop.

    Raises ThreadNotFound, UnknownGraph, InvalidState, ReadingSlow, LoopBusy.
    """

    def __init__(
        self, registry: GraphRegistry, store: BaseStore | None, gate: Gate, reading: ReadingThread, pace: Pace
    ) -> None:
        self._registry = registry
        self._store = store
        self._gate = gate
        self._reading = reading
        self._pace = pace
        self._values = SharedValues()

    async def state(self, thread_id: UUID, question: StateQuestion) -> bytes:
        """The state, as a `ThreadState`."""
        return await self._reading.ask(lambda: self._state(thread_id, question), _PATIENCE_SECONDS)

    def history(self, thread_id: UUID, question: HistoryQuestion) -> AsyncGenerator[bytes]:
        """The states at past checkpoints, newest first, as the parts of a list of `ThreadState`."""
        return self._reading.pages(lambda: self._history(thread_id, question), _PATIENCE_SECONDS)

    # From here on all is on the reading loop.

    async def _state(self, thread_id: UUID, question: StateQuestion) -> bytes:
        saver = AsyncPostgresSaver(self._reading.database.pool, serde=self._registry.serializer)
        async with self._graph(thread_id, question) as graph:
            reader = graph.copy({"checkpointer": saver, "store": self._store or graph.store})
            snapshot = await reader.aget_state(question.config(thread_id), subgraphs=question.subgraphs)
            state = thread_state(snapshot)
            if question.output:
                state["values"] = told(state["values"], output_keys(graph))
            return dumps_kept(state)

    async def _history(self, thread_id: UUID, question: HistoryQuestion) -> AsyncGenerator[bytes]:
        async with self._graph(thread_id, question) as graph:
            shares = nobody_looks_on(graph, question.checkpoint_ns)
            saver = SharingSaver(self._reading.database, self._registry.serializer, self._values, shares=shares)
            reader = graph.copy({"store": self._store or graph.store})
            with self._values.reading():
                async for page in history_pages(reader, saver, thread_id, question, self._pace):
                    yield page

    @asynccontextmanager
    async def _graph(self, thread_id: UUID, place: Place) -> AsyncIterator[Graph]:
        database = self._reading.database
        name = await graph_name(database, self._registry, thread_id, place)
        config = await factory_config(database, self._registry, name, thread_id, place)

        def opened() -> AbstractAsyncContextManager[Graph]:
            return self._registry.open(name, config, access="threads.read")

        # What a factory makes for one question may belong to the loop that runs would use it on.
        per_run = self._registry.is_made_per_run(name)
        async with self._gate.held(opened, _OPENING_SECONDS) if per_run else opened() as graph:
            yield graph
