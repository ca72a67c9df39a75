"""Threads: created, looked up, searched, forgotten."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Literal
from uuid import UUID

import orjson

from relayrun_core.database import Connection, Database
from relayrun_core.errors import ThreadBusyError, ThreadExists, ThreadNotFound
from relayrun_core.runs import PendingInterrupt
from relayrun_core.states import ThreadStatus
from relayrun_core.store.rows import THREAD_COLUMNS, Thread, to_thread

_CREATE = f"""
INSERT INTO threads (thread_id, owner, name, metadata)
VALUES (%(thread)s, %(owner)s, %(name)s, %(metadata)s)
ON CONFLICT (thread_id) DO NOTHING RETURNING {THREAD_COLUMNS}"""  # noqa: S608 - our own column names
_GET = f"SELECT {THREAD_COLUMNS} FROM threads WHERE thread_id = %s"  # noqa: S608
_PATCH = f"""
UPDATE threads SET metadata = metadata || %(metadata)s::jsonb, updated_at = now() WHERE thread_id = %(thread)s
RETURNING {THREAD_COLUMNS}"""  # noqa: S608
_SEARCH = f"""
SELECT {THREAD_COLUMNS} FROM threads
WHERE (%(any_owner)s OR owner IS NOT DISTINCT FROM %(owner)s)
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND metadata @> %(metadata)s::jsonb
  AND (%(values)s::jsonb IS NULL OR values @> %(values)s::jsonb)
  AND (%(ids)s::uuid[] IS NULL OR thread_id = ANY(%(ids)s::uuid[]))
ORDER BY updated_at DESC, thread_id LIMIT %(limit)s OFFSET %(offset)s"""  # noqa: S608
_LOCK = f"SELECT {THREAD_COLUMNS} FROM threads WHERE thread_id = %s FOR UPDATE"  # noqa: S608
_BUSY = "SELECT 1 FROM runs WHERE thread_id = %s AND status IN ('pending', 'running') LIMIT 1"
_SET_STATE = """
UPDATE threads SET values = %(values)s::jsonb, interrupts = %(interrupts)s::jsonb, updated_at = now(),
    error = NULL, status = CASE WHEN %(waiting)s THEN 'interrupted' ELSE 'idle' END
WHERE thread_id = %(thread)s"""
_DELETE = (
    "DELETE FROM checkpoints WHERE thread_id = %s::text",
    "DELETE FROM checkpoint_blobs WHERE thread_id = %s::text",
    "DELETE FROM checkpoint_writes WHERE thread_id = %s::text",
    "DELETE FROM threads WHERE thread_id = %s::uuid",
)


async def create_thread(
    database: Database,
    thread_id: UUID,
    *,
    owner: str | None = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
    if_exists: Literal["raise", "do_nothing"] = "raise",
) -> Thread:
    """Create a thread. Raises ThreadExists, or ThreadNotFound when it exists and belongs to another owner."""
    params = {
        "thread": thread_id,
        "owner": owner,
        "name": name,
        "metadata": orjson.dumps(metadata or {}).decode(),
    }
    if row := await database.fetch_one(_CREATE, params):
        return to_thread(row)
    existing = await get_thread(database, thread_id)
    if existing is None or existing.owner != owner:
        raise ThreadNotFound(f"thread {name or thread_id} does not exist")
    if if_exists == "raise":
        raise ThreadExists(f"thread {name or thread_id} exists already: use if_exists=do_nothing to get it")
    return existing


async def get_thread(database: Database, thread_id: UUID) -> Thread | None:
    """The thread, or None."""
    row = await database.fetch_one(_GET, (thread_id,))
    return to_thread(row) if row else None


async def patch_thread_metadata(database: Database, thread_id: UUID, metadata: dict[str, Any]) -> Thread:
    """Merge keys into the thread's metadata. Raises ThreadNotFound."""
    row = await database.fetch_one(_PATCH, {"thread": thread_id, "metadata": orjson.dumps(metadata).decode()})
    if row is None:
        raise ThreadNotFound(f"thread {thread_id} does not exist")
    return to_thread(row)


async def search_threads(
    database: Database,
    *,
    owner: str | None = None,
    any_owner: bool = False,
    status: ThreadStatus | None = None,
    metadata: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
    ids: list[UUID] | None = None,
    limit: int = 10,
    offset: int = 0,
) -> list[Thread]:
    """Threads of an owner (or of all), last used first; `metadata` and `values` must be contained in theirs."""
    params = {
        "owner": owner,
        "any_owner": any_owner,
        "status": status,
        "metadata": orjson.dumps(metadata or {}).decode(),
        "values": None if values is None else orjson.dumps(values).decode(),
        "ids": ids,
        "limit": limit,
        "offset": offset,
    }
    return [to_thread(row) for row in await database.fetch_all(_SEARCH, params)]


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


async def set_thread_state(
    conn: Connection, thread_id: UUID, values: bytes, interrupts: tuple[PendingInterrupt, ...], *, waiting: bool
) -> None:
    """Note the state that an edit left behind; `values` is JSON; `waiting`: nodes are next. In `idle_thread`."""
    params = {
        "thread": thread_id,
        "values": values.decode(),
        "waiting": waiting,
        "interrupts": orjson.dumps([asdict(entry) for entry in interrupts]).decode(),
    }
    await conn.execute(_SET_STATE.encode(), params)


async def delete_thread(database: Database, thread_id: UUID) -> None:
    """Forget a thread, its runs and its checkpoints. Raises ThreadNotFound, ThreadBusyError."""
    async with idle_thread(database, thread_id) as (conn, _):
        for statement in _DELETE:
            await conn.execute(statement.encode(), (thread_id,))
