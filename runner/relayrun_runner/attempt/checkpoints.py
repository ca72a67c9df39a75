"""The fenced saver: LangGraph's Postgres saver, each of whose writes first proves that its attempt holds the run."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import ERROR
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row

from relayrun_core.database import Database
from relayrun_core.runs import Run
from relayrun_runner.attempt.batches import StatementRecorder
from relayrun_runner.attempt.clocks import NEWEST_ID, make_ids_after, require_after
from relayrun_runner.attempt.config import described, without_user
from relayrun_runner.attempt.events import give_ids
from relayrun_runner.attempt.writer import RunWriter
from relayrun_runner.author_errors import is_a
from relayrun_runner.errors import ForeignThread
from relayrun_runner.graphs.serde import with_values_apart
from relayrun_runner.langgraph_internals import recorded_answers
from relayrun_runner.retry import until_deadline

T = TypeVar("T")
# What says how a task fares; everything else that it writes is its output.
_CONTROL_WRITES = {*WRITES_IDX_MAP, "__error_source_node__"}
Barrier = Callable[[], Awaitable[None]]

_COUNT_BASE_COMMANDS = """
SELECT count(*) AS count FROM run_base_writes WHERE run_id = %s AND checkpoint_id = %s AND task_id = %s AND idx >= 0"""
# A write is handed to a task of its own, which begins in the loop's next turn; twice as many for whoever wraps it.
_TURNS_TO_BEGIN = 4
# LangGraph files what belongs to no task, a command's update and goto, under this task id.
NULL_TASK_ID = "00000000-0000-0000-0000-000000000000"


class Writes:
    """Counts what is being written. A graph that was cancelled leaves writes behind that nobody waits for."""

    def __init__(self) -> None:
        self._under_way = 0
        self._done = asyncio.Event()
        #: Whether any began since all were done.
        self.more = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """A write."""
        self._under_way += 1
        self.more = True
        try:
            yield
        finally:
            self._under_way -= 1
            self._done.set()

    async def all_done(self) -> None:
        """Wait for those under way, and for those that the loop begins in its next turns."""
        for _ in range(_TURNS_TO_BEGIN):
            await asyncio.sleep(0)
        while self._under_way:
            self._done.clear()
            await self._done.wait()
        self.more = False


class FencedSaver(AsyncPostgresSaver):
    """One saver an attempt. It takes the place of the graph's own for this call.

    It refuses every thread but the run's. Reads are retried whole while the database is away; writes go to the run's
    one writer, which retries them and commits what belongs together at once. `barrier` is awaited before a checkpoint
    is handed over, so that the events of its step are there first.
    """

    def __init__(
        self,
        database: Database,
        run: Run,
        deadline: float,
        writer: RunWriter,
        barrier: Barrier,
        serde: SerializerProtocol | None = None,
    ) -> None:
        super().__init__(database.pool, serde=serde)
        self._database = database
        self.run_id: UUID = run.run_id
        self.attempt = run.attempt
        self.thread_id = str(run.thread_id)
        self._deadline = deadline
        self._writer = writer
        self._barrier = barrier
        self._head: CheckpointTuple | None = None
        # Checkpoints with pending writes: these may come before their checkpoint is saved, and with `exit` always do.
        self._written_to: set[str] = set()
        self._writes = Writes()
        #: The run is being cancelled: that its nodes were is no error of theirs, and not kept as such.
        self.is_stopping = False
        # A thread that had no checkpoint at the claim has none until this attempt writes one.
        self._blank = run.attempt == 1 and run.base is not None and run.base.get("high_water") is None
        # Nobody has written to the thread since the first claim of a run noted this.
        self._newest = run.base.get("high_water") if run.attempt == 1 and run.base is not None else None

    async def begin(self) -> float:
        """Call this before the graph: from now on ids are made that sort after all that the thread has.

        Returned is by how many seconds they run ahead of this machine's clock.
        """
        if self.attempt > 1:
            self._newest = await self._retried(self._read_newest, "reading the newest checkpoint's id")
        return make_ids_after(self._newest)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint behind the fence, together with the events of its step."""
        self._check(config)
        # LangGraph would note the user's id in each checkpoint's metadata, which everybody reads who reads the state.
        config = without_user(config)
        metadata = described(config, metadata)
        require_after(checkpoint["id"], self._newest)
        self._blank = False
        with self._writes.one():
            await self._barrier()
            saved = await super().aput(config, with_values_apart(checkpoint), metadata, new_versions)
        if checkpoint["id"] in self._written_to:
            self._head = None
        elif config["configurable"].get("checkpoint_ns", "") == "":
            parent: RunnableConfig = {"configurable": {**saved["configurable"]}}
            parent["configurable"]["checkpoint_id"] = config["configurable"].get("checkpoint_id")
            self._head = CheckpointTuple(
                saved,
                checkpoint,
                get_checkpoint_metadata(config, metadata),
                parent if parent["configurable"]["checkpoint_id"] else None,
                [],
            )
        return saved

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save a task's writes behind the fence."""
        self._check(config)
        if self.is_stopping:
            writes = [(channel, value) for channel, value in writes if not _is_our_cancel(channel, value)]
            if not writes:
                return
        writes = _without_output_of_failure(writes)
        self._head = None
        self._written_to.add(config["configurable"]["checkpoint_id"])
        self._blank = False
        with self._writer.expecting_writes(), self._writes.one():
            for _, value in writes:
                give_ids(value)
            await super().aput_writes(config, writes, task_id, task_path)

    async def quiet(self) -> None:
        """Wait until all that the graph has written is saved: what is read now is what it leaves, unless it goes on."""
        await self._writes.all_done()

    def is_as_left(self) -> bool:
        """Whether nothing was written since it was `quiet`."""
        return not self._writes.more

    def settled_head(self) -> CheckpointTuple | None:
        """The root checkpoint this attempt saved last, while no task has written since: what a read would find."""
        return self._head

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read one checkpoint."""
        self._check(config)
        if self._blank:
            return None
        get = super().aget_tuple
        return await self._retried(lambda: get(config), "reading a checkpoint")

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - the name is LangGraph's
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Read checkpoints, newest first. All are read before the first is given, so that a retry repeats none."""
        if config is None:
            raise ForeignThread("a run can only list the checkpoints of its own thread")
        self._check(config)
        listing = super().alist

        async def read() -> list[CheckpointTuple]:
            return [entry async for entry in listing(config, filter=filter, before=before, limit=limit)]

        for entry in await self._retried(read, "listing checkpoints"):
            yield entry

    async def adelete_thread(self, thread_id: str) -> None:
        """Refused: a thread is deleted through the API, when nothing runs on it."""
        raise ForeignThread(f"a run can not delete thread {thread_id}: delete it through the API")

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Refused: pruning would take the ground from under running attempts."""
        raise ForeignThread(f"a run can not prune threads ({', '.join(thread_ids)}, {strategy})")

    async def recorded_answers(self, task_id: str) -> int:
        """How many answers to its questions the task has recorded."""
        return await self._retried(lambda: recorded_answers(self, self.thread_id, task_id), "counting recorded answers")

    async def commands_recorded(self, head: CheckpointTuple) -> bool:
        """Whether an earlier attempt has saved this run's command (update, goto) beside the head."""
        saved = sum(
            1
            for task_id, channel, _ in head.pending_writes or ()
            if task_id == NULL_TASK_ID and channel not in WRITES_IDX_MAP
        )

        async def read() -> DictRow | None:
            async with self._cursor() as cursor:
                await cursor.execute(_COUNT_BASE_COMMANDS, (self.run_id, head.checkpoint["id"], NULL_TASK_ID))
                return await cursor.fetchone()

        row = await self._retried(read, "reading what a command began from")
        return saved > (row["count"] if row else 0)

    async def _read_newest(self) -> str | None:
        row = await self._database.fetch_one(NEWEST_ID, (self.thread_id,))
        return row["newest"] if row else None

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        # Unlike the base class this takes no lock: reads have connections of their own, writes the one writer.
        if pipeline:
            recorder = StatementRecorder()
            yield cast("AsyncCursor[DictRow]", recorder)
            only_writes = all("checkpoint_writes" in statement.query for statement in recorder.statements)
            await self._writer.commit(recorder.statements, lingers=only_writes)
            return
        async with self._database.connection() as conn, conn.cursor(binary=True, row_factory=dict_row) as cursor:
            yield cursor

    async def _retried(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        return await until_deadline(call, self._deadline, what)

    def _check(self, config: RunnableConfig) -> None:
        thread_id = str(config["configurable"]["thread_id"])
        if thread_id != self.thread_id:
            raise ForeignThread(f"a run can only use the checkpoints of its own thread, not those of {thread_id}")


def _without_output_of_failure(writes: Sequence[tuple[str, Any]]) -> Sequence[tuple[str, Any]]:
    """A task that fails in a conditional edge has made its node's output: LangGraph saves both, and would take a task
    with output for one that succeeded, so that whoever goes on from there leaves out what comes after the edge.
    """
    if not any(channel == ERROR for channel, _ in writes):
        return writes
    return [(channel, value) for channel, value in writes if channel in _CONTROL_WRITES]


def _is_our_cancel(channel: str, value: Any) -> bool:
    return channel == ERROR and is_a(value, asyncio.CancelledError)
