"""Creates, reads, edits and deletes threads. `thread_search` has searches, `thread_copy` copies."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

import orjson

from relayrun_core.database import Database
from relayrun_core.db.fence import breaking_frozen_holders
from relayrun_core.db.finish import outcome_columns
from relayrun_core.db.heads import MAX_VALUES_BYTES
from relayrun_core.db.notify import EVENTS_CHANNEL, NOTIFY_MANY, RUNS_CHANNEL, many_params
from relayrun_core.db.pool import Connection
from relayrun_core.db.rows import MAX_OBJECT_BYTES, MERGES, THREAD_COLUMNS, Thread, Ttl, to_thread
from relayrun_core.errors import MetadataTooLarge, ThreadBusyError, ThreadExists, ThreadNotFound
from relayrun_core.ids import former_thread_id, uuid_of
from relayrun_core.runs import ObjectRef, Outcome
from relayrun_core.states import Reason
from relayrun_core.storable import storable_text

_CREATE = f"""
INSERT INTO threads (thread_id, owner, name, metadata, ttl_minutes, ttl_strategy)
VALUES (%(thread)s, %(owner)s, %(name)s, %(metadata)s, %(minutes)s, %(strategy)s)
ON CONFLICT (thread_id) DO NOTHING RETURNING {THREAD_COLUMNS}"""  # noqa: S608 - our own column names
_GET = f"SELECT {THREAD_COLUMNS} FROM threads WHERE thread_id = %s"  # noqa: S608
_PATCH = f"""
UPDATE threads SET metadata = metadata || %(metadata)s::jsonb, updated_at = now(),
    ttl_minutes = coalesce(%(minutes)s, ttl_minutes), ttl_strategy = coalesce(%(strategy)s, ttl_strategy)
WHERE thread_id = %(thread)s AND {MERGES} RETURNING {THREAD_COLUMNS}"""  # noqa: S608
_LOCK = f"SELECT {THREAD_COLUMNS} FROM threads WHERE thread_id = %s FOR UPDATE"  # noqa: S608
_BUSY = "SELECT 1 FROM runs WHERE thread_id = %s AND finished_at IS NULL LIMIT 1"
_SET_STATE = """
UPDATE threads SET values = %(values)s::text::jsonb, interrupts = %(interrupts)s::jsonb, updated_at = now(),
    output_keys = %(output_keys)s::jsonb, head = %(head)s, head_at = now(), head_by = %(by)s, head_run = NULL,
    head_values = %(head_values)s, error = NULL, status = CASE WHEN %(waiting)s THEN 'interrupted' ELSE 'idle' END
WHERE thread_id = %(thread)s"""
_CONFIGURABLE = "SELECT configurable FROM threads WHERE thread_id = %s"
# An AgentRun that has its run's payload would make it anew where it is given to a runner once more.
_DELETE = (
    """
INSERT INTO deleted_runs (run_id) SELECT run_id FROM runs WHERE thread_id = %s AND object IS NOT NULL
ON CONFLICT DO NOTHING""",
    "DELETE FROM checkpoints WHERE thread_id = %s::text",
    "DELETE FROM checkpoint_blobs WHERE thread_id = %s::text",
    "DELETE FROM checkpoint_writes WHERE thread_id = %s::text",
    "DELETE FROM threads WHERE thread_id = %s::uuid",
)
_DELETE_UNFINISHED = "SELECT answer, ended FROM relayrun_delete_thread(%s)"
# At most one run of a thread executes: its runner may be frozen and hold the run's lock.
_BEGUN = """
SELECT run_id FROM runs WHERE thread_id = %s AND finished_at IS NULL AND attempt > 0 ORDER BY status DESC LIMIT 1"""
_DELETIONS = 100


@dataclass(frozen=True)
class NewThread:
    """A thread to be created."""

    thread_id: UUID
    owner: str | None = None
    name: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    ttl: Ttl | None = None


async def create_thread(
    database: Database,
    thread_id: UUID,
    *,
    owner: str | None = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
    if_exists: Literal["raise", "do_nothing"] = "raise",
    ttl: Ttl | None = None,
) -> Thread:
    """Create a thread. Raises ThreadExists, or ThreadNotFound when it exists and belongs to another owner."""
    new = NewThread(thread_id, owner, name, metadata or {}, ttl)
    if row := await database.fetch_one(_CREATE, _create_params(new)):
        return to_thread(row)
    existing = await get_thread(database, thread_id)
    if existing is None or existing.owner != owner:
        raise ThreadNotFound(f"thread with ID {name or thread_id} not found")
    if if_exists == "raise":
        raise ThreadExists(f"thread with ID {name or thread_id} already exists: use if_exists=do_nothing to get it")
    return existing


@dataclass(frozen=True)
class DeletedRun:
    """A run that was unfinished when it was deleted. `object` is the AgentRun that requested it, if one did."""

    run_id: UUID
    agent: str
    object: ObjectRef | None

    @classmethod
    def of(cls, run_id: str, agent: str, object: dict[str, Any] | None) -> "DeletedRun":  # noqa: A002 - the column's
        """From JSON."""
        return cls(UUID(run_id), agent, ObjectRef(**object) if object else None)


@asynccontextmanager
async def thread_in_making(database: Database, new: NewThread) -> AsyncIterator[Connection]:
    """Open a transaction that creates the thread, so that it exists with all that is done inside, or not at all.

    Raises ThreadExists, whoever owns it.
    """
    async with database.connection() as conn, conn.transaction():
        if await (await conn.execute(_CREATE.encode(), _create_params(new))).fetchone() is None:
            raise ThreadExists(f"thread with ID {new.name or new.thread_id} already exists")
        yield conn


async def get_thread(database: Database, thread_id: UUID) -> Thread | None:
    """Return the thread, or None."""
    row = await database.fetch_one(_GET, (thread_id,))
    return to_thread(row) if row else None


async def patch_thread(database: Database, thread_id: UUID, metadata: dict[str, Any], ttl: Ttl | None = None) -> Thread:
    """Merge keys into the thread's metadata, and set its TTL. Raises ThreadNotFound, MetadataTooLarge."""
    params = {"thread": thread_id, "metadata": orjson.dumps(metadata).decode(), **_ttl_params(ttl)}
    row = await database.fetch_one(_PATCH, params)
    if row is None and await get_thread(database, thread_id):
        raise MetadataTooLarge(
            f"the thread's metadata would be larger than {MAX_OBJECT_BYTES} bytes of JSON: store large data elsewhere"
        )
    if row is None:
        raise ThreadNotFound(f"thread with ID {thread_id} not found")
    return to_thread(row)


async def assistants_configurable(database: Database, thread_id: UUID) -> dict[str, Any]:
    """What the assistants of the thread's runs say in `configurable`, the last one's over those before it."""
    row = await database.fetch_one(_CONFIGURABLE, (thread_id,))
    return dict(row["configurable"]) if row else {}


@asynccontextmanager
async def idle_thread(database: Database, thread_id: UUID) -> AsyncIterator[tuple[Connection, Thread]]:
    """Open a transaction that has locked the thread, after checking that it has no unfinished run.

    State edits and deletion happen inside. Raises ThreadNotFound, ThreadBusyError.
    """
    async with database.connection() as conn, conn.transaction():
        row = await (await conn.execute(_LOCK.encode(), (thread_id,))).fetchone()
        if row is None:
            raise ThreadNotFound(f"thread with ID {thread_id} not found")
        if await (await conn.execute(_BUSY.encode(), (thread_id,))).fetchone():
            raise ThreadBusyError(f"thread {thread_id} has an unfinished run: wait for it, or cancel it")
        yield conn, to_thread(row)


async def set_thread_state(conn: Connection, thread_id: UUID, left: Outcome) -> None:
    """Store the state after an edit, as the end of a run would. Call it in `idle_thread`."""
    columns = outcome_columns(left)
    values = columns["head_values"] or columns["values"]
    small = values is not None and len(values) <= MAX_VALUES_BYTES
    kept = {"waiting": left.reason is Reason.WAITING_FOR_INPUT, "head_values": values if small else None}
    params = {"thread": thread_id, **columns, **kept}
    await conn.execute(_SET_STATE.encode(), params)


async def delete_thread(database: Database, thread_id: UUID) -> list[DeletedRun]:
    """Delete a thread, its runs and its checkpoints. No runner can write to it afterwards.

    Returns the runs that were unfinished.

    Raises ThreadNotFound; ThreadBusyError where runs are started on it all the time.
    """

    async def delete() -> dict[str, Any] | None:
        return await database.fetch_one(_DELETE_UNFINISHED, (thread_id,))

    for _ in range(_DELETIONS):
        begun = await database.fetch_one(_BEGUN, (thread_id,))
        row = await (breaking_frozen_holders(database, begun["run_id"], delete) if begun else delete())
        match row and row["answer"]:
            case "NotFound":
                raise ThreadNotFound(f"thread {thread_id} does not exist")
            case "Deleted":
                assert row is not None
                ended = [DeletedRun.of(**run) for run in row["ended"]]
                hints = [(channel, run.run_id) for run in ended for channel in (RUNS_CHANNEL, EVENTS_CHANNEL)]
                await database.execute(NOTIFY_MANY, many_params([*hints, (EVENTS_CHANNEL, thread_id)]))
                return ended
    raise ThreadBusyError(f"thread {thread_id} keeps getting new runs: stop starting them")


async def forget(conn: Connection, thread_id: UUID) -> None:
    """Delete a thread and all that belongs to it, in the caller's transaction, which has locked it as idle."""
    for statement in _DELETE:
        await conn.execute(statement.encode(), (thread_id,))


def _create_params(new: NewThread) -> dict[str, Any]:
    return {
        "thread": new.thread_id,
        "owner": new.owner,
        "name": new.name,
        "metadata": orjson.dumps(new.metadata).decode(),
        **_ttl_params(new.ttl),
    }


def _ttl_params(ttl: Ttl | None) -> dict[str, Any]:
    return {"minutes": ttl.minutes if ttl else None, "strategy": ttl.strategy if ttl else None}


_IDS = """
SELECT relayrun_thread_id(%s, n.name, n.former) AS thread_id
FROM unnest(%s::text[], %s::uuid[]) WITH ORDINALITY AS n (name, former, place) ORDER BY n.place"""


async def thread_id_of(database: Database, owner: str | None, name: str) -> UUID:
    """As `thread_ids_of`, of one."""
    return uuid_of(name) or (await thread_ids_of(database, owner, [name]))[0]


async def thread_ids_of(database: Database, owner: str | None, names: Sequence[str]) -> list[UUID]:
    """Return the ids of the threads that `owner` calls by these names, in this order, whether they exist or not.

    A UUID-shaped name is the id itself, whoever owns that. For others nobody but this installation can tell the id
    before the thread is there. What Postgres cannot store is no thread's name, and gets an id that no thread has.
    """
    called = [name for name in dict.fromkeys(names) if uuid_of(name) is None and is_storable(name)]
    found: dict[str, UUID] = {}
    if called:
        former = [former_thread_id(owner, name) for name in called]
        rows = await database.fetch_all(_IDS, (owner, called, former))
        found = {name: row["thread_id"] for name, row in zip(called, rows, strict=True)}
    return [uuid_of(name) or found.get(name) or uuid4() for name in names]


def is_storable(text: str) -> bool:
    """Return whether Postgres accepts the text: it has no NUL and no lone surrogate."""
    return storable_text(text) == text
