"""Crons: kept, changed, found, and fired: a run is accepted and its cron moved on in one transaction.

Lock order: the thread row, the cron row, then as everywhere. A cron that changed since it was read does not fire.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
import psycopg

from relayrun_core.database import Connection, Database
from relayrun_core.errors import RelayrunError, ThreadBusyError, ThreadNotFound
from relayrun_core.metadata_filter import MetadataFilter
from relayrun_core.runs import NewRun
from relayrun_core.store.notify import NOTIFY_CREATED
from relayrun_core.store.runs import create_within, raise_refusal

SortBy = Literal["cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"]


@dataclass(frozen=True)
class NewCron:
    """What `create_cron` needs. `owner` is the thread's where there is one; `payload` is the run's body as accepted.

    `made_by` is whom the author's own authentication found, where there is one.
    """

    cron_id: UUID
    owner: str | None
    as_admin: bool
    assistant_id: UUID
    thread_id: UUID | None
    schedule: str
    timezone: str | None
    payload: dict[str, Any]
    on_run_completed: Literal["delete", "keep"] | None
    end_time: datetime | None
    enabled: bool
    next_run_at: datetime | None
    made_by: dict[str, Any] | None

    @property
    def metadata(self) -> dict[str, Any]:
        """What its runs are marked with, and what it is searched by."""
        return self.payload.get("metadata") or {}


@dataclass(frozen=True)
class Cron(NewCron):
    """A row of `crons`."""

    last_run_at: datetime | None
    last_run_id: UUID | None
    refusal: str | None
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class CronFilter:
    """Which crons to find: of an owner or, for an admin, of all; None means any."""

    owner: str | None
    any_owner: bool
    assistant_id: UUID | None = None
    thread_id: UUID | None = None
    enabled: bool | None = None
    metadata: dict[str, Any] | None = None
    #: What an author's handler lets the caller see.
    visible: MetadataFilter | None = None


_NAMES = [field.name for field in fields(Cron)]
_COLUMNS = ", ".join(_NAMES)
_NOW = "SELECT now() AS now"
# Nobody else makes one for this owner until the transaction ends; the count below is a statement of its own, because
# it must see what was there once the lock was free.
_LOCK_OWNER = "SELECT pg_advisory_xact_lock(hashtextextended(coalesce(%(owner)s, ''), 7262))"
_CREATE = f"""
INSERT INTO crons (cron_id, owner, as_admin, assistant_id, thread_id, schedule, timezone, payload, metadata,
                   on_run_completed, end_time, enabled, next_run_at, made_by)
SELECT %(cron_id)s, %(owner)s, %(as_admin)s, %(assistant_id)s, %(thread_id)s, %(schedule)s, %(timezone)s, %(payload)s,
       %(metadata)s, %(on_run_completed)s, %(end_time)s, %(enabled)s, %(next_run_at)s, %(made_by)s
WHERE %(limit)s::int IS NULL
   OR (SELECT count(*) FROM crons WHERE coalesce(owner, '') = coalesce(%(owner)s, '')) < %(limit)s::int
RETURNING {_COLUMNS}"""  # noqa: S608 - our own column names
_GET = f"SELECT {_COLUMNS} FROM crons WHERE cron_id = %s"  # noqa: S608
_LOCK = f"SELECT {_COLUMNS}, now() AS now FROM crons WHERE cron_id = %s FOR UPDATE"  # noqa: S608
_EDIT = f"""
UPDATE crons SET schedule = %(schedule)s, timezone = %(timezone)s, payload = %(payload)s, metadata = %(metadata)s,
    on_run_completed = %(on_run_completed)s, end_time = %(end_time)s, enabled = %(enabled)s,
    next_run_at = %(next_run_at)s, revision = revision + 1, updated_at = now()
WHERE cron_id = %(cron_id)s RETURNING {_COLUMNS}"""  # noqa: S608
_DELETE = "DELETE FROM crons WHERE cron_id = %s"
_FOUND = """
FROM crons WHERE (%(any_owner)s OR coalesce(owner, '') = coalesce(%(owner)s, ''))
  AND (%(assistant)s::uuid IS NULL OR assistant_id = %(assistant)s)
  AND (%(thread)s::uuid IS NULL OR thread_id = %(thread)s)
  AND (%(enabled)s::boolean IS NULL OR enabled = %(enabled)s)
  AND metadata @> %(metadata)s::jsonb AND {visible}"""
_COUNT = "SELECT count(*) AS number "
_DUE = f"""
SELECT {_COLUMNS}, now() AS now FROM crons WHERE next_run_at <= now() ORDER BY next_run_at LIMIT %s"""  # noqa: S608
_NEXT = "SELECT extract(epoch FROM min(next_run_at) - now())::float AS seconds FROM crons WHERE next_run_at IS NOT NULL"
# A thread that somebody holds for longer delays its own crons and no others.
_PATIENCE = "SELECT set_config('lock_timeout', '1s', true)"
_LOCK_THREAD = "SELECT 1 FROM threads WHERE thread_id = %s FOR UPDATE"
_HOLD = "SELECT 1 FROM crons WHERE cron_id = %s AND revision = %s FOR UPDATE SKIP LOCKED"
_ADVANCE = """
UPDATE crons SET next_run_at = %(next)s, revision = revision + 1, refusal = left(%(refusal)s, 1024),
    last_run_id = coalesce(%(run)s, last_run_id),
    last_run_at = CASE WHEN %(run)s::uuid IS NULL THEN last_run_at ELSE now() END
WHERE cron_id = %(cron)s AND revision = %(revision)s"""


async def database_now(database: Database) -> datetime:
    """The time that decides what is due."""
    row = await database.fetch_one(_NOW)
    assert row is not None
    now: datetime = row["now"]
    return now


async def create_cron(database: Database, new: NewCron, *, limit: int | None) -> Cron | None:
    """Keep a cron; None when its owner has `limit` of them. Raises ThreadNotFound."""
    params = {**vars(new), **_stored(new), "limit": limit}
    try:
        async with database.connection() as conn, conn.transaction():
            await conn.execute(_LOCK_OWNER.encode(), params)
            row = await (await conn.execute(_CREATE.encode(), params)).fetchone()
    except psycopg.errors.ForeignKeyViolation:
        raise ThreadNotFound(f"thread {new.thread_id} does not exist: create it first") from None
    return _to_cron(row) if row else None


async def get_cron(database: Database, cron_id: UUID) -> Cron | None:
    """The cron, or None."""
    row = await database.fetch_one(_GET, (cron_id,))
    return _to_cron(row) if row else None


async def edit_cron(database: Database, cron_id: UUID, change: Callable[[Cron, datetime], Cron]) -> Cron | None:
    """Keep what `change` makes of the cron and of the time; None when there is no such cron."""
    async with database.connection() as conn, conn.transaction():
        row = await (await conn.execute(_LOCK.encode(), (cron_id,))).fetchone()
        if row is None:
            return None
        changed = change(_to_cron(row), row["now"])
        params = {**vars(changed), **_stored(changed)}
        row = await (await conn.execute(_EDIT.encode(), params)).fetchone()
        return _to_cron(row) if row else None


async def delete_cron(database: Database, cron_id: UUID) -> bool:
    """Forget a cron; its runs stay. False when there is no such cron."""
    return await database.execute(_DELETE, (cron_id,)) > 0


async def search_crons(
    database: Database, wanted: CronFilter, *, sort_by: SortBy, descending: bool, limit: int, offset: int
) -> tuple[list[Cron], bool]:
    """A page of crons, and whether there are more; those without a value to sort by are last."""
    column = "next_run_at" if sort_by == "next_run_date" else sort_by
    order = f"ORDER BY {column} {'DESC' if descending else 'ASC'} NULLS LAST, cron_id"
    query = f"SELECT {_COLUMNS} {_found(wanted)} {order} LIMIT %(limit)s OFFSET %(offset)s"
    params = {**_filter_params(wanted), "limit": limit + 1, "offset": offset}
    crons = [_to_cron(row) for row in await database.fetch_all(query, params)]
    return crons[:limit], len(crons) > limit


async def count_crons(database: Database, wanted: CronFilter) -> int:
    """How many crons there are."""
    row = await database.fetch_one(_COUNT + _found(wanted), _filter_params(wanted))
    return int(row["number"]) if row else 0


async def due_crons(database: Database, limit: int) -> list[tuple[Cron, datetime]]:
    """Crons whose time has come, each with the time; the longest due first. Others may see the same ones."""
    return [(_to_cron(row), row["now"]) for row in await database.fetch_all(_DUE, (limit,))]


async def seconds_until_due(database: Database) -> float | None:
    """The time until the next cron is due, negative when one is; None when none ever is."""
    row = await database.fetch_one(_NEXT)
    return row["seconds"] if row else None


@dataclass(frozen=True)
class Fired:
    """A cron's time came, and its run was accepted, or refused: `busy` because of its thread's other run."""

    refusal: str | None = None
    busy: bool = False


async def fire_cron(database: Database, cron: Cron, new: NewRun, next_run_at: datetime | None) -> Fired | None:
    """Accept the run and move the cron on, both or neither; None when somebody else does, or the cron has changed."""
    async with database.connection() as conn:
        async with conn.transaction():
            await conn.execute(_PATIENCE.encode())
            if cron.thread_id is not None:
                await conn.execute(_LOCK_THREAD.encode(), (cron.thread_id,))
            held = await (await conn.execute(_HOLD.encode(), (cron.cron_id, cron.revision))).fetchone()
            if held is None:
                return None
            fired = await _accept(conn, new)
            run = None if fired.refusal else new.run_id
            await conn.execute(_ADVANCE.encode(), _advance_params(cron, next_run_at, fired.refusal, run))
        # A transaction of its own: the hint must not be part of the commit that makes the run durable.
        await conn.execute(NOTIFY_CREATED.encode(), (new.run_id, new.thread_id))
        return fired


async def skip_cron(database: Database, cron: Cron, next_run_at: datetime | None, refusal: str | None) -> bool:
    """Move the cron on without a run; False when somebody else did, or the cron has changed."""
    return await database.execute(_ADVANCE, _advance_params(cron, next_run_at, refusal, None)) > 0


async def _accept(conn: Connection, new: NewRun) -> Fired:
    try:
        raise_refusal(await create_within(conn, new), new)
    except RelayrunError as refused:
        return Fired(str(refused), busy=isinstance(refused, ThreadBusyError))
    return Fired()


def _advance_params(cron: Cron, next_run_at: datetime | None, refusal: str | None, run: UUID | None) -> dict[str, Any]:
    return {"cron": cron.cron_id, "revision": cron.revision, "next": next_run_at, "refusal": refusal, "run": run}


def _found(wanted: CronFilter) -> str:
    return _FOUND.format(visible=wanted.visible.sql("metadata")[0] if wanted.visible else "true")


def _filter_params(wanted: CronFilter) -> dict[str, Any]:
    return {
        "owner": wanted.owner,
        "any_owner": wanted.any_owner,
        "assistant": wanted.assistant_id,
        "thread": wanted.thread_id,
        "enabled": wanted.enabled,
        "metadata": orjson.dumps(wanted.metadata or {}).decode(),
        **(wanted.visible.sql("metadata")[1] if wanted.visible else {}),
    }


def _stored(cron: NewCron) -> dict[str, str | None]:
    return {
        "payload": orjson.dumps(cron.payload).decode(),
        "metadata": orjson.dumps(cron.metadata).decode(),
        "made_by": None if cron.made_by is None else orjson.dumps(cron.made_by).decode(),
    }


def _to_cron(row: dict[str, Any]) -> Cron:
    return Cron(**{name: row[name] for name in _NAMES})
