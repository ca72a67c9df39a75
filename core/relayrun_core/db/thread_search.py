"""Threads found by what they are: listed and counted."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.db.listing import Listing
from relayrun_core.db.metadata_filter import MetadataFilter
from relayrun_core.db.rows import THREAD_COLUMNS, Thread, to_thread
from relayrun_core.states import ThreadStatus

SortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]
SortOrder = Literal["asc", "desc"]
Values = Literal["read", "json", "none"]

# An index each: a page is read from it as it is. Its reverse is the other order.
_ASCENDING = {
    "thread_id": "thread_id",
    "status": "status, updated_at DESC, thread_id",
    "created_at": "created_at, thread_id DESC",
    "updated_at": "updated_at, thread_id DESC",
    "state_updated_at": "state_updated_at, thread_id DESC",
}
_DESCENDING = {
    "thread_id": "thread_id DESC",
    "status": "status DESC, updated_at, thread_id DESC",
    "created_at": "created_at DESC, thread_id",
    "updated_at": "updated_at DESC, thread_id",
    "state_updated_at": "state_updated_at DESC, thread_id",
}


_VALUES: dict[Values, str] = {"read": "values", "json": "values::text", "none": "NULL"}


@dataclass(frozen=True)
class ThreadQuery:
    """Which threads are meant; `metadata` and `values` must be contained in theirs."""

    owner: str | None = None
    #: Whoever owns them.
    any_owner: bool = False
    status: ThreadStatus | None = None
    metadata: dict[str, Any] | None = None
    values: dict[str, Any] | None = None
    ids: list[UUID] | None = None
    #: What an author's handler lets the caller see.
    visible: MetadataFilter | None = None


@dataclass(frozen=True)
class ThreadPage:
    """Which of them, in which order."""

    limit: int = 10
    offset: int = 0
    sort_by: SortBy = "updated_at"
    order: SortOrder = "desc"


def threads_found(query: ThreadQuery, page: ThreadPage, values: Values = "read") -> Listing[Thread]:
    """A page of the threads, with their values read, as JSON in an `orjson.Fragment`, or as None.

    A megabyte of JSON takes ten of memory once it is read.
    """
    where, params = _where(query)
    order = (_ASCENDING if page.order == "asc" else _DESCENDING)[page.sort_by]
    found = f"FROM threads WHERE {where}"
    columns = THREAD_COLUMNS.replace(", values,", f", {_VALUES[values]} AS values,")
    make = _unread if values == "json" else to_thread
    return Listing(columns, found, "thread_id", order, params, page.limit, page.offset, make)


async def count_threads(database: Database, query: ThreadQuery) -> int:
    """How many threads there are."""
    where, params = _where(query)
    rows = await _fetch(database, f"SELECT count(*) AS count FROM threads WHERE {where}", params)  # noqa: S608
    count: int = rows[0]["count"]
    return count


def _unread(row: dict[str, Any]) -> Thread:
    values = row["values"]
    return to_thread({**row, "values": None if values is None else orjson.Fragment(values)})


def _where(query: ThreadQuery) -> tuple[str, dict[str, Any]]:
    # Only what is asked for: a condition that also holds for "not asked" keeps Postgres from its indexes.
    conditions = ["true"]
    params: dict[str, Any] = {}
    if not query.any_owner:
        conditions.append("owner IS NULL" if query.owner is None else "owner = %(owner)s")
        params["owner"] = query.owner
    if query.status is not None:
        conditions.append("status = %(status)s")
        params["status"] = query.status.value
    if query.metadata:
        conditions.append("metadata @> %(metadata)s::jsonb")
        params["metadata"] = orjson.dumps(query.metadata).decode()
    if query.values:
        conditions.append("values @> %(values)s::jsonb")
        params["values"] = orjson.dumps(query.values).decode()
    if query.ids is not None:
        conditions.append("thread_id = ANY(%(ids)s::uuid[])")
        params["ids"] = query.ids
    if query.visible is not None:
        condition, more = query.visible.sql("metadata")
        conditions.append(condition)
        params |= more
    return " AND ".join(conditions), params


async def _fetch(database: Database, statement: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    async def fetch() -> list[dict[str, Any]]:
        async with database.connection() as conn:
            # Planned each time: whether a filter is rare, and so which index is right, depends on its value.
            return await (await conn.execute(statement.encode(), params, prepare=False)).fetchall()

    return await database.twice(fetch)
