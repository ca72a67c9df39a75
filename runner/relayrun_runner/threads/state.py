"""Edits threads' states, with the compiled graph, on the graphs' loop.

An edit locks the thread's row, proves that no run of it is pending or running, and is written in that one transaction;
so is a new thread together with the state that it begins with.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, cast
from uuid import UUID

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.store.base import BaseStore
from langgraph.types import Command, StateSnapshot, StateUpdate

from relayrun_core.database import Database
from relayrun_core.db.notify import notify_thread
from relayrun_core.db.pool import Connection
from relayrun_core.db.rows import Ttl
from relayrun_core.db.thread_stream import note_edit
from relayrun_core.db.threads import NewThread, idle_thread, set_thread_state, thread_in_making
from relayrun_core.errors import NotStorable, RelayrunError, ThreadExists
from relayrun_runner.attempt.clocks import NEWEST_ID, make_ids_after, require_after
from relayrun_runner.attempt.config import described
from relayrun_runner.attempt.outcome import outcome_at
from relayrun_runner.attempt.resuming import goto_of
from relayrun_runner.author_errors import class_of, is_cancelled, is_raised_by_us, text_of
from relayrun_runner.errors import InvalidState, refusal
from relayrun_runner.graphs.loading import Graph, GraphRegistry
from relayrun_runner.graphs.serde import with_values_apart
from relayrun_runner.graphs.serialize import dumps, dumps_kept
from relayrun_runner.langgraph_internals import recorded_answers
from relayrun_runner.threads.bodies import Place, StateEdit, SuperstepUpdate, ThreadInMaking
from relayrun_runner.threads.reads import factory_config, graph_name
from relayrun_runner.threads.snapshots import EDIT_ID, checkpoint_of, thread_state

# Nobody asks again for an edit that is as far back as this.
_EDITED = """
SELECT checkpoint_ns, checkpoint_id FROM (
    SELECT checkpoint_ns, checkpoint_id, metadata FROM checkpoints WHERE thread_id = %s
    ORDER BY checkpoint_id DESC LIMIT 100
) newest WHERE metadata ->> %s = %s"""


class ThreadStates:
    """Edits threads' states; answers are JSON. Raises ThreadNotFound, UnknownGraph, InvalidState, ThreadBusyError."""

    def __init__(self, registry: GraphRegistry, database: Database, store: BaseStore | None, *, most: int = 1) -> None:
        """`most`: how many edits may be made at once."""
        self._registry = registry
        self._database = database
        self._store = store
        # An edit holds a connection while its graph's code runs: runs must have others to write with.
        self._places = asyncio.Semaphore(most)

    async def update(self, thread_id: UUID, edit: StateEdit) -> bytes:
        """Edit the state; the answer names the new checkpoint."""
        name = await graph_name(self._database, self._registry, thread_id, edit)
        asked = await factory_config(self._database, self._registry, name, thread_id, edit)
        config: RunnableConfig = {"configurable": {**asked["configurable"], "graph_id": name}}
        async with (
            self._registry.open(name, asked, access="threads.update") as loaded,
            self._places,
            idle_thread(self._database, thread_id) as (conn, _),
        ):
            graph, saver = await self._editable(loaded, conn, thread_id, edit.edit_id)
            written = await saver.written_before()
            if written is None:
                written = await _written(graph.aupdate_state(config, edit.values, edit.as_node))
                state = await _note_state(graph, saver, conn, thread_id, self._registry.maker_of(name))
                edited = {"state": thread_state(state), "thread_id": str(thread_id)}
                await note_edit(conn, thread_id, dumps_kept(edited))
        await notify_thread(self._database, thread_id)
        checkpoint = checkpoint_of(written)
        return dumps(
            {"checkpoint": checkpoint, "configurable": checkpoint, "checkpoint_id": checkpoint.get("checkpoint_id")}
        )

    async def create(self, thread_id: UUID, body: ThreadInMaking) -> bytes:
        """Make a thread and its state, or neither; the answer says whether, which it is not where one exists."""
        ttl = None if body.ttl_minutes is None else Ttl(body.ttl_minutes, body.ttl_strategy)
        new = NewThread(thread_id, body.owner, body.name, body.metadata, ttl)
        config = Place().config(thread_id, graph_id=body.graph)
        supersteps = [[_state_update(update) for update in step.updates] for step in body.supersteps]
        async with self._registry.open(body.graph, config, access="threads.update") as loaded:
            try:
                async with self._places, thread_in_making(self._database, new) as conn:
                    graph, saver = await self._editable(loaded, conn, thread_id)
                    await _written(graph.abulk_update_state(config, supersteps))
                    await _note_state(graph, saver, conn, thread_id, self._registry.maker_of(body.graph))
            except ThreadExists:
                return dumps({"created": False})
        return dumps({"created": True})

    async def _editable(
        self, loaded: Graph, conn: Connection, thread_id: UUID, edit_id: UUID | None = None
    ) -> tuple[Graph, "EditSaver"]:
        """The graph, for edits in the connection's transaction."""
        saver = EditSaver(conn, str(thread_id), self._registry.serializer, edit_id)
        await saver.begin()
        return loaded.copy({"checkpointer": saver, "store": self._store or loaded.store}), saver


class EditSaver(AsyncPostgresSaver):
    """LangGraph's saver on the one connection whose transaction holds the thread."""

    def __init__(self, conn: Any, thread_id: str, serde: SerializerProtocol | None, edit_id: UUID | None) -> None:
        super().__init__(conn, serde=serde)
        self._thread_id = thread_id
        self._edit_id = edit_id
        self._newest: str | None = None

    async def begin(self) -> None:
        """Call this before the edit: its checkpoint sorts after all that the thread has."""
        async with self._cursor() as cursor:
            await cursor.execute(NEWEST_ID, (self._thread_id,))
            row = await cursor.fetchone()
        self._newest = row["newest"] if row else None
        make_ids_after(self._newest)

    async def written_before(self) -> RunnableConfig | None:
        """The checkpoint of this very edit, where it was made already and only its answer was lost."""
        if self._edit_id is None:
            return None
        async with self._cursor() as cursor:
            await cursor.execute(_EDITED, (self._thread_id, EDIT_ID, str(self._edit_id)))
            row = await cursor.fetchone()
        return {"configurable": {"thread_id": self._thread_id, **row}} if row else None

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save the edit's checkpoint."""
        require_after(checkpoint["id"], self._newest)
        if self._edit_id is not None:
            metadata = cast("CheckpointMetadata", {**metadata, EDIT_ID: str(self._edit_id)})
        described_as = described(config, metadata)
        return await super().aput(config, with_values_apart(checkpoint), described_as, new_versions)

    async def recorded_answers(self, task_id: str) -> int:
        """How many answers to its questions the task has recorded."""
        return await recorded_answers(self, self._thread_id, task_id)


async def _written(edit: Awaitable[RunnableConfig]) -> RunnableConfig:
    try:
        return await edit
    except (NotStorable, psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
        raise InvalidState(str(refusal(error, "these values"))) from error
    except psycopg.Error:
        raise
    except BaseException as error:
        if is_cancelled(error) or (isinstance(error, RelayrunError) and is_raised_by_us(error)):
            raise
        # LangGraph's refusals, and whatever an author's reducer makes of these values.
        raise InvalidState(text_of(error) or class_of(error)) from error


def _state_update(update: SuperstepUpdate) -> StateUpdate:
    command = update.command
    if not command:
        return StateUpdate(update.values, update.as_node)
    try:
        goto = goto_of(command.get("goto"))
    except KeyError as error:
        raise InvalidState(f"a command's `goto` has no {error}: name a node, or give `node` and `input`") from error
    returned: Any = Command(resume=command.get("resume"), update=command.get("update"), goto=goto)
    return StateUpdate(returned, update.as_node)


async def _note_state(
    graph: Graph, saver: EditSaver, conn: Connection, thread_id: UUID, made_by: str | None
) -> StateSnapshot:
    newest: RunnableConfig = {"configurable": {"thread_id": str(thread_id)}}
    snapshot = await graph.aget_state(newest)
    await set_thread_state(conn, thread_id, await outcome_at(graph, saver, newest, snapshot, made_by))
    return snapshot
