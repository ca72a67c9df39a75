"""Threads: created, looked up, edited, forgotten. Searches are in `thread_search`, copies in `thread_copy`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.errors import MetadataTooLarge, ThreadBusyError, ThreadExists, ThreadNotFound
from relayrun_core.pool import Connection
from relayrun_core.runs import Outcome
from relayrun_core.states import Reason
from relayrun_core.store.finish import outcome_columns
from relayrun_core.store.heads import MAX_VALUES_BYTES
from relayrun_core.store.notify import notify_thread
from relayrun_core.store.rows import MAX_OBJECT_BYTES, MERGES, THREAD_COLUMNS, Thread, Ttl, to_thread

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
_BUSY = "SELECT 1 FROM runs WHERE thread_id = %s AND status IN ('pending', 'running') LIMIT 1"
_SET_STATE = """
UPDATE threads SET values = %(values)s::text::jsonb, interrupts = %(interrupts)s::jsonb, updated_at = now(),
    output_keys = %(output_keys)s::jsonb, head = %(head)s, head_at = now(), head_by = %(by)s, head_run = NULL,
    head_values = %(head_values)s, error = NULL, status = CASE WHEN %(waiting)s THEN 'interrupted' ELSE 'idle' END
WHERE thread_id = %(thread)s"""
_DELETE = (
    "DELETE FROM checkpoints WHERE thread_id = %s::text",
    "DELETE FROM checkpoint_blobs WHERE thread_id = %s::text",
    "DELETE FROM checkpoint_writes WHERE thread_id = %s::text",
    "DELETE FROM threads WHERE thread_id = %s::uuid",
)


@dataclass(frozen=True)
class NewThread:
    """A thread to be made."""

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
        raise ThreadNotFound(f"thread {name or thread_id} does not exist")
    if if_exists == "raise":
        raise ThreadExists(f"thread {name or thread_id} exists already: use if_exists=do_nothing to get it")
    return existing


@asynccontextmanager
async def thread_in_making(database: Database, new: NewThread) -> AsyncIterator[Connection]:
    """A transaction in which the thread is new, so that it exists with all that is done inside or not at all.

    Raises ThreadExists, whoever owns it.
    """
    async with database.connection() as conn, conn.transaction():
        if await (await conn.execute(_CREATE.encode(), _create_params(new))).fetchone() is None:
            raise ThreadExists(f"thread {new.name or new.thread_id} exists already")
        yield conn


async def get_thread(database: Database, thread_id: UUID) -> Thread | None:
    """The thread, or None."""
    row = await database.fetch_one(_GET, (thread_id,))
    return to_thread(row) if row else None


async def patch_thread(database: Database, thread_id: UUID, metadata: dict[str, Any], ttl: Ttl | None = None) -> Thread:
    """Merge keys into the thread's metadata, and say how long it is kept. Raises ThreadNotFound, MetadataTooLarge."""
    params = {"thread": thread_id, "metadata": orjson.dumps(metadata).decode(), **_ttl_params(ttl)}
    row = await database.fetch_one(_PATCH, params)
    if row is None and await get_thread(database, thread_id):
        raise MetadataTooLarge(
            f"the thread's metadata would be larger than {MAX_OBJECT_BYTES} bytes of JSON: keep what is large elsewhere"
        )
    if row is None:
        raise ThreadNotFound(f"thread {thread_id} does not exist")
    return to_thread(row)


@asynccontextmanager
async def idle_thread(database: Database, thread_id: UUID) -> AsyncIterator[tuple[Connection, Thread]]:
    """A transaction that has locked the thread and proved that no run of it is pending or running.

    State edits and deletion happen inside. Raises ThreadNotFound, ThreadBusyError.
    """
    async with database.connection() as conn, conn.transaction():
        row = await (await conn.execute(_LOCK.encode(), (thread_id,))).fetchone()
        if row is None:
            raise ThreadNotFound(f"thread {thread_id} does not exist")
        if await (await conn.execute(_BUSY.encode(), (thread_id,))).fetchone():
            raise ThreadBusyError(f"thread {thread_id} has an unfinished run: wait for it, or cancel it")
        yield conn, to_thread(row)


async def set_thread_state(conn: Connection, thread_id: UUID, left: Outcome) -> None:
    """Note the state that an edit left behind, as a run that ended there would. In `idle_thread`."""
    columns = outcome_columns(left)
    values = columns["head_values"] or columns["values"]
    small = values is not None and len(values) <= MAX_VALUES_BYTES
    kept = {"waiting": left.reason is Reason.WAITING_FOR_INPUT, "head_values": values if small else None}
    params = {"thread": thread_id, **columns, **kept}
    await conn.execute(_SET_STATE.encode(), params)


async def delete_thread(database: Database, thread_id: UUID) -> None:
    """Forget a thread, its runs and its checkpoints. Raises ThreadNotFound, ThreadBusyError."""
    async with idle_thread(database, thread_id) as (conn, _):
        await forget(conn, thread_id)
    await notify_thread(database, thread_id)


async def forget(conn: Connection, thread_id: UUID) -> None:
    """Remove a thread and all that it has, in the caller's transaction, which has locked it and found it idle."""
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
