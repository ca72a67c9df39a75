"""Reads the states and histories of threads, without the fence and off the graphs' loop."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.base import BaseStore

from relayrun_core.database import Database
from relayrun_core.db.threads import assistants_configurable, get_thread
from relayrun_core.errors import ThreadNotFound
from relayrun_core.runner_requests import parts_of
from relayrun_core.runs import select_output
from relayrun_runner.errors import InvalidState
from relayrun_runner.graphs.loading import Graph, GraphRegistry
from relayrun_runner.graphs.serialize import dumps_kept
from relayrun_runner.process.graphs_loop import GraphsLoop
from relayrun_runner.threads.bodies import HistoryQuestion, Place, StateQuestion
from relayrun_runner.threads.reading import ReadingThread, ReadThrottle
from relayrun_runner.threads.sharing import SharedValues, SharingSaver, values_may_be_shared
from relayrun_runner.threads.snapshots import output_keys, thread_state

# For one state, and for each page of a history.
_READ_TIMEOUT_SECONDS = 25.0
# A factory of the author's may take its time; a loop that is blocked for longer is not worth waiting for.
_OPENING_SECONDS = 20.0


class ThreadReads:
    """Answers about threads' states, as JSON; asked on the protocol's loop.

    Raises ThreadNotFound, UnknownGraph, InvalidState, ReadingSlow, LoopBusy.
    """

    def __init__(
        self,
        registry: GraphRegistry,
        store: BaseStore | None,
        graphs_loop: GraphsLoop,
        reading: ReadingThread,
        pace: ReadThrottle,
    ) -> None:
        self._registry = registry
        self._store = store
        self._graphs_loop = graphs_loop
        self._reading = reading
        self._pace = pace
        self._values = SharedValues()

    async def state(self, thread_id: UUID, question: StateQuestion) -> bytes:
        """The state, as a `ThreadState`."""
        return await self._reading.ask(lambda: self._state(thread_id, question), _READ_TIMEOUT_SECONDS)

    def history(self, thread_id: UUID, question: HistoryQuestion) -> AsyncGenerator[bytes]:
        """The states at past checkpoints, newest first, as the parts of a list of `ThreadState`."""
        return self._reading.pages(lambda: self._history(thread_id, question), _READ_TIMEOUT_SECONDS)

    # From here on all is on the reading loop.

    async def _state(self, thread_id: UUID, question: StateQuestion) -> bytes:
        saver = AsyncPostgresSaver(self._reading.database.pool, serde=self._registry.serializer)
        async with self._graph(thread_id, question) as graph:
            reader = graph.copy({"checkpointer": saver, "store": self._store or graph.store})
            snapshot = await reader.aget_state(question.config(thread_id), subgraphs=question.subgraphs)
            state = thread_state(snapshot)
            if question.output:
                state["values"] = select_output(state["values"], output_keys(graph))
            return dumps_kept(state)

    async def _history(self, thread_id: UUID, question: HistoryQuestion) -> AsyncGenerator[bytes]:
        async with self._graph(thread_id, question) as graph:
            shares = values_may_be_shared(graph, question.checkpoint_ns)
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
        async with self._graphs_loop.held(opened, _OPENING_SECONDS) if per_run else opened() as graph:
            yield graph


# The first page tells how large the states are; each other has as many as make about so many bytes.
_PAGE_BYTES = 1_000_000
_MOST_STATES = 100


async def history_pages(
    graph: Graph, saver: SharingSaver, thread_id: UUID, question: HistoryQuestion, pace: ReadThrottle
) -> AsyncGenerator[bytes]:
    """The parts of a JSON list of `ThreadState`, newest first. Holds no connection while a part is taken."""
    reader, config = graph.copy({"checkpointer": saver}), question.config(thread_id)
    before, left, states, opening = question.before, question.limit, 1, b"["
    while left:
        wanted, read = min(left, states), saver.bytes_read
        encoded: list[bytes] = []
        async for snapshot in reader.aget_state_history(
            config, filter=question.metadata, before=_config(before), limit=wanted
        ):
            state = thread_state(snapshot)
            encoded.append(saver.values.dumps(parts_of(state, question.select) if question.select else state))
            before = snapshot.config["configurable"]["checkpoint_id"]
            await pace.rest()
        if encoded:
            text = opening + b",".join(encoded)
            # Where few parts are selected, little is told of much that is read.
            size = max(saver.bytes_read - read, len(text)) // len(encoded)
            opening, states = b",", min(max(_PAGE_BYTES // size, 1), _MOST_STATES)
            yield text
        left = left - wanted if len(encoded) == wanted else 0
    yield b"[]" if opening == b"[" else b"]"


def _config(checkpoint_id: str | None) -> RunnableConfig | None:
    return None if checkpoint_id is None else {"configurable": {"checkpoint_id": checkpoint_id}}


async def graph_name(database: Database, registry: GraphRegistry, thread_id: UUID, place: Place) -> str:
    """The one asked for, else what the thread has run, else the only one. Raises ThreadNotFound, InvalidState."""
    thread = await get_thread(database, thread_id)
    if thread is None:
        raise ThreadNotFound(f"thread {thread_id} does not exist")
    if name := place.graph or thread.graph:
        return name
    if len(registry.names) == 1:
        return registry.names[0]
    names = ", ".join(registry.names)
    raise InvalidState(f"thread {thread_id} has had no run: say which graph it is for, one of {names}")


async def factory_config(
    database: Database, registry: GraphRegistry, name: str, thread_id: UUID, place: Place
) -> RunnableConfig:
    """The config to open the thread's graph with: what its assistants say, and the place.

    A run's own `configurable` is not in it, as in the Agent Server.
    """
    config = place.config(thread_id)
    if not registry.is_made_per_run(name):
        return config
    configurable = await assistants_configurable(database, thread_id)
    return {"configurable": {**configurable, "graph_id": name, **config["configurable"]}}
