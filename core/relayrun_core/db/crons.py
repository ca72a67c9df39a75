"""Creates, changes and finds crons. `cron_firing` fires them."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
import psycopg

from relayrun_core.database import Database
from relayrun_core.db.listing import Listing
from relayrun_core.db.metadata_filter import MetadataFilter
from relayrun_core.errors import ThreadNotFound

SortBy = Literal["cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"]


@dataclass(frozen=True)
class NewCron:
    """What `create_cron` needs. `owner` is the thread's where there is one; `payload` is the run's body as accepted.

    `runs_as`, `as_admin` and `made_by` are of who last said what runs: its identity, whether it may use anybody's
    assistant, and whom the author's own authentication found, where there is one. `assistant_version` is what somebody
    else's assistant was when that one chose it; None: the newest one. `agent` is whose graph it was made for; None:
    whoever has the graph's name when it fires.
    """

    cron_id: UUID
    owner: str | None
    runs_as: str | None
    as_admin: bool
    assistant_id: UUID
    assistant_version: int | None
    thread_id: UUID | None
    schedule: str
    timezone: str | None
    payload: dict[str, Any]
    on_run_completed: Literal["delete", "keep"] | None
    end_time: datetime | None
    enabled: bool
    next_run_at: datetime | None
    made_by: dict[str, Any] | None
    agent: str | None

    @property
    def metadata(self) -> dict[str, Any]:
        """What its runs are marked with, and what it is searched by."""
        return self.payload.get("metadata") or {}

    @property
    def identity(self) -> str | None:
        """Who it runs as; None also for an admin whom no version before the field noted."""
        if self.runs_as is not None or self.as_admin:
            return self.runs_as
        return self.owner if self.made_by is None else str(self.made_by["identity"])


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
COLUMNS = ", ".join(_NAMES)
_NOW = "SELECT now() AS now"
# Nobody else makes one for this owner until the transaction ends; the count below is a statement of its own, because
# it must see what was there once the lock was free.
_LOCK_OWNER = "SELECT pg_advisory_xact_lock(hashtextextended(coalesce(%(owner)s, ''), 7262))"
_CREATE = f"""
INSERT INTO crons (cron_id, owner, runs_as, as_admin, assistant_id, assistant_version, thread_id, schedule, timezone,
                   payload, metadata, on_run_completed, end_time, enabled, next_run_at, made_by, agent)
SELECT %(cron_id)s, %(owner)s, %(runs_as)s, %(as_admin)s, %(assistant_id)s, %(assistant_version)s, %(thread_id)s,
       %(schedule)s, %(timezone)s, %(payload)s, %(metadata)s, %(on_run_completed)s, %(end_time)s, %(enabled)s,
       %(next_run_at)s, %(made_by)s, %(agent)s
WHERE %(limit)s::int IS NULL
   OR (SELECT count(*) FROM crons WHERE coalesce(owner, '') = coalesce(%(owner)s, '')) < %(limit)s::int
RETURNING {COLUMNS}"""  # noqa: S608 - our own column names
_GET = f"SELECT {COLUMNS} FROM crons WHERE cron_id = %s"  # noqa: S608
_LOCK = f"SELECT {COLUMNS}, now() AS now FROM crons WHERE cron_id = %s FOR UPDATE"  # noqa: S608
_EDIT = f"""
UPDATE crons SET schedule = %(schedule)s, timezone = %(timezone)s, payload = %(payload)s, metadata = %(metadata)s,
    on_run_completed = %(on_run_completed)s, end_time = %(end_time)s, enabled = %(enabled)s,
    next_run_at = %(next_run_at)s, revision = revision + 1, updated_at = now(), runs_as = %(runs_as)s,
    as_admin = %(as_admin)s, made_by = %(made_by)s, assistant_version = %(assistant_version)s, agent = %(agent)s
WHERE cron_id = %(cron_id)s RETURNING {COLUMNS}"""  # noqa: S608
_DELETE = "DELETE FROM crons WHERE cron_id = %s"
_FOUND = """
FROM crons WHERE (%(any_owner)s OR coalesce(owner, '') = coalesce(%(owner)s, ''))
  AND (%(assistant)s::uuid IS NULL OR assistant_id = %(assistant)s)
  AND (%(thread)s::uuid IS NULL OR thread_id = %(thread)s)
  AND (%(enabled)s::boolean IS NULL OR enabled = %(enabled)s)
  AND metadata @> %(metadata)s::jsonb AND {visible}"""
_COUNT = "SELECT count(*) AS number "


async def database_now(database: Database) -> datetime:
    """Return the database's time, which decides what is due."""
    row = await database.fetch_one(_NOW)
    assert row is not None
    now: datetime = row["now"]
    return now


async def create_cron(database: Database, new: NewCron, *, limit: int | None) -> Cron | None:
    """Create a cron; None when its owner has `limit` of them already. Raises ThreadNotFound."""
    params = {**vars(new), **_stored(new), "limit": limit}
    try:
        async with database.connection() as conn, conn.transaction():
            await conn.execute(_LOCK_OWNER.encode(), params)
            row = await (await conn.execute(_CREATE.encode(), params)).fetchone()
    except psycopg.errors.ForeignKeyViolation:
        raise ThreadNotFound(f"thread with ID {new.thread_id} not found: create it first") from None
    return to_cron(row) if row else None


async def get_cron(database: Database, cron_id: UUID) -> Cron | None:
    """Return the cron, or None."""
    row = await database.fetch_one(_GET, (cron_id,))
    return to_cron(row) if row else None


async def edit_cron(database: Database, cron_id: UUID, change: Callable[[Cron, datetime], Cron]) -> Cron | None:
    """Store what `change` makes of the cron, given the time; None when there is no such cron."""
    async with database.connection() as conn, conn.transaction():
        row = await (await conn.execute(_LOCK.encode(), (cron_id,))).fetchone()
        if row is None:
            return None
        changed = change(to_cron(row), row["now"])
        params = {**vars(changed), **_stored(changed)}
        row = await (await conn.execute(_EDIT.encode(), params)).fetchone()
        return to_cron(row) if row else None


async def delete_cron(database: Database, cron_id: UUID) -> bool:
    """Delete a cron; its runs stay. Returns False when there is no such cron."""
    return await database.execute(_DELETE, (cron_id,)) > 0


def crons_found(wanted: CronFilter, *, sort_by: SortBy, descending: bool, limit: int, offset: int) -> Listing[Cron]:
    """A page of crons; those without a value to sort by are last."""
    column = "next_run_at" if sort_by == "next_run_date" else sort_by
    order = f"{column} {'DESC' if descending else 'ASC'} NULLS LAST, cron_id"
    return Listing(COLUMNS, _found(wanted), "cron_id", order, _filter_params(wanted), limit, offset, to_cron)


async def count_crons(database: Database, wanted: CronFilter) -> int:
    """How many crons there are."""
    row = await database.fetch_one(_COUNT + _found(wanted), _filter_params(wanted))
    return int(row["number"]) if row else 0


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


def to_cron(row: dict[str, Any]) -> Cron:
    """The cron of a row of `COLUMNS`."""
    return Cron(**{name: row[name] for name in _NAMES})
