"""A thread's state, history and edits: what needs the compiled graph. Lives on the graphs' loop.

Reading goes past the fence. An edit locks the thread's row, proves that no run of it is pending or running, and is
written in that one transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.store.base import BaseStore
from pydantic import BaseModel, ConfigDict, Field, field_validator

from relayrun_core.database import Database
from relayrun_core.errors import RelayrunError, ThreadNotFound
from relayrun_core.store.threads import get_thread, idle_thread, set_thread_state
from relayrun_runner.answers import recorded_answers
from relayrun_runner.clocks import NEWEST_ID, make_ids_after, require_after
from relayrun_runner.errors import InvalidState
from relayrun_runner.factories import Access
from relayrun_runner.graphs import Graph, GraphRegistry
from relayrun_runner.outcome import pending_interrupts
from relayrun_runner.serialize import dumps, without_nul
from relayrun_runner.snapshots import checkpoint_of, thread_state


class Place(BaseModel):
    """Which state is meant: the newest of the root graph unless said otherwise."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    graph: str | None = None
    checkpoint_id: str | None = None
    checkpoint_ns: str = ""

    @field_validator("graph", "checkpoint_id", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("checkpoint_ns", mode="before")
    @classmethod
    def _root_is_empty(cls, value: Any) -> Any:
        return value or ""

    def config(self, thread_id: UUID, **more: Any) -> RunnableConfig:
        """The LangGraph config that names it."""
        configurable: dict[str, Any] = {"thread_id": str(thread_id), "checkpoint_ns": self.checkpoint_ns, **more}
        if self.checkpoint_id is not None:
            # Its absence tells LangGraph to show what is going on now, and not a record of a step.
            configurable["checkpoint_id"] = self.checkpoint_id
        return {"configurable": configurable}


class StateQuestion(Place):
    """GET state."""

    subgraphs: bool = False


class HistoryQuestion(Place):
    """GET or POST history; `before` is a checkpoint id, or a config or checkpoint that has one."""

    limit: int = Field(default=10, ge=1, le=1000)
    before: str | None = None
    metadata: dict[str, Any] | None = None

    @field_validator("before", mode="before")
    @classmethod
    def _id_of(cls, value: Any) -> Any:
        if isinstance(value, dict):
            value = (value.get("configurable") or value).get("checkpoint_id")
        return value or None


class StateUpdate(Place):
    """POST state: `values` as if `as_node` had returned them."""

    values: Any = None
    as_node: str | None = None


class ThreadStates:
    """Answers about threads' states, as JSON. Raises ThreadNotFound, UnknownGraph, InvalidState, ThreadBusyError."""

    def __init__(self, registry: GraphRegistry, database: Database, store: BaseStore | None) -> None:
        self._registry = registry
        self._database = database
        self._store = store

    async def state(self, thread_id: UUID, question: StateQuestion) -> bytes:
        """The state, as a `ThreadState`."""
        saver = AsyncPostgresSaver(self._database.pool, serde=self._registry.serializer)
        async with self._graph(thread_id, question, "threads.read", saver) as graph:
            snapshot = await graph.aget_state(question.config(thread_id), subgraphs=question.subgraphs)
            return dumps(thread_state(snapshot))

    async def history(self, thread_id: UUID, question: HistoryQuestion) -> bytes:
        """The states at past checkpoints, newest first, as a list of `ThreadState`."""
        saver = AsyncPostgresSaver(self._database.pool, serde=self._registry.serializer)
        before: RunnableConfig | None = None
        if question.before is not None:
            before = {"configurable": {"checkpoint_id": question.before}}
        async with self._graph(thread_id, question, "threads.read", saver) as graph:
            found = graph.aget_state_history(
                question.config(thread_id), filter=question.metadata, before=before, limit=question.limit
            )
            return dumps([thread_state(snapshot) async for snapshot in found])

    async def update(self, thread_id: UUID, update: StateUpdate) -> bytes:
        """Edit the state; the answer names the new checkpoint."""
        name = await self._graph_name(thread_id, update)
        async with (
            self._registry.open(name, update.config(thread_id), access="threads.update") as loaded,
            idle_thread(self._database, thread_id) as (conn, _),
        ):
            saver = EditSaver(conn, str(thread_id), self._registry.serializer)
            await saver.begin()
            graph = loaded.copy({"checkpointer": saver, "store": self._store or loaded.store})
            config = await _edit(graph, update.config(thread_id, graph_id=name), update)
            await _note_state(graph, saver, conn, thread_id)
        checkpoint = checkpoint_of(config)
        return dumps(
            {"checkpoint": checkpoint, "configurable": checkpoint, "checkpoint_id": checkpoint.get("checkpoint_id")}
        )

    @asynccontextmanager
    async def _graph(
        self, thread_id: UUID, place: Place, access: Access, saver: AsyncPostgresSaver
    ) -> AsyncIterator[Graph]:
        name = await self._graph_name(thread_id, place)
        async with self._registry.open(name, place.config(thread_id), access=access) as graph:
            yield graph.copy({"checkpointer": saver, "store": self._store or graph.store})

    async def _graph_name(self, thread_id: UUID, place: Place) -> str:
        thread = await get_thread(self._database, thread_id)
        if thread is None:
            raise ThreadNotFound(f"thread {thread_id} does not exist")
        if name := place.graph or thread.graph:
            return name
        if len(self._registry.names) == 1:
            return self._registry.names[0]
        names = ", ".join(self._registry.names)
        raise InvalidState(f"thread {thread_id} has had no run: say which graph it is for, one of {names}")


class EditSaver(AsyncPostgresSaver):
    """LangGraph's saver on the one connection whose transaction holds the thread."""

    def __init__(self, conn: Any, thread_id: str, serde: SerializerProtocol | None) -> None:
        super().__init__(conn, serde=serde)
        self._thread_id = thread_id
        self._newest: str | None = None

    async def begin(self) -> None:
        """Call this before the edit: its checkpoint sorts after all that the thread has."""
        async with self._cursor() as cursor:
            await cursor.execute(NEWEST_ID, (self._thread_id,))
            row = await cursor.fetchone()
        self._newest = row["newest"] if row else None
        make_ids_after(self._newest)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save the edit's checkpoint."""
        require_after(checkpoint["id"], self._newest)
        return await super().aput(config, checkpoint, metadata, new_versions)

    async def recorded_answers(self, task_id: str) -> int:
        """How many answers to its questions the task has recorded."""
        return await recorded_answers(self, self._thread_id, task_id)


async def _edit(graph: Graph, config: RunnableConfig, update: StateUpdate) -> RunnableConfig:
    try:
        return await graph.aupdate_state(config, update.values, update.as_node)
    except (psycopg.Error, RelayrunError):
        raise
    except Exception as error:
        # LangGraph's refusals, and whatever an author's reducer makes of these values.
        raise InvalidState(str(error) or type(error).__name__) from error


async def _note_state(graph: Graph, saver: Any, conn: Any, thread_id: UUID) -> None:
    newest: RunnableConfig = {"configurable": {"thread_id": str(thread_id)}}
    snapshot = await graph.aget_state(newest)
    interrupts = await pending_interrupts(graph, saver, newest, snapshot)
    waiting = bool(snapshot.next or interrupts)
    await set_thread_state(conn, thread_id, without_nul(dumps(snapshot.values)), interrupts, waiting=waiting)
