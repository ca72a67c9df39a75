"""Assistants: a page of those that fit, how many there are, and an assistant's threads.

The default assistant of a graph has no row until it is changed: callers bring what it is then as an `AssistantRow`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.db.assistants import COLUMNS, AssistantRow, loaded
from relayrun_core.db.listing import Listing
from relayrun_core.db.metadata_filter import MetadataFilter

SortBy = Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"]
SortOrder = Literal["asc", "desc"]


@dataclass(frozen=True)
class AssistantFilter:
    """Which assistants: those of `owner`, or with `any_owner` all, and the default ones among `defaults`.

    `defaults` are the default assistants of the graphs there are, as they are without a row; an assistant that somebody
    made with the id of one is left out. `metadata` must be contained in theirs, `name` be part of theirs, in capitals
    or not.
    """

    owner: str | None
    any_owner: bool
    defaults: Sequence[AssistantRow]
    agent: str | None = None
    graph: str | None = None
    #: Whether they were named as `agent/graph`; None: either.
    by_agent: bool | None = None
    name: str | None = None
    metadata: dict[str, Any] | None = None
    #: What an author's handler lets the caller see.
    visible: MetadataFilter | None = None


_THEIRS = "NOT is_default AND owner = %(owner)s"
_ANYBODYS = "NOT is_default"
# The default ones that were never changed come from the parameter, the others from their row.
_TABLES = """
WITH a AS (
    SELECT * FROM assistants WHERE {owned} AND assistant_id <> ALL(%(default_ids)s)
    UNION ALL
    SELECT * FROM assistants WHERE is_default AND assistant_id = ANY(%(default_ids)s)
    UNION ALL
    SELECT d.* FROM jsonb_populate_recordset(NULL::assistants, %(defaults)s::jsonb) d
    WHERE NOT EXISTS (SELECT 1 FROM assistants kept WHERE kept.assistant_id = d.assistant_id AND kept.is_default)
)"""
_FOUND = """
FROM a WHERE (%(graph)s::text IS NULL OR a.graph = %(graph)s) AND (%(agent)s::text IS NULL OR a.agent = %(agent)s)
  AND (%(by_agent)s::boolean IS NULL OR a.by_agent = %(by_agent)s)
  AND (%(name)s::text IS NULL OR position(lower(%(name)s) IN lower(a.name)) > 0)
  AND a.metadata @> %(metadata)s::jsonb AND {visible}"""
# By code point, whatever the database's collation: that is the order in which clients compare.
_KEYS: dict[SortBy, str] = {
    "assistant_id": "a.assistant_id",
    "graph_id": 'a.graph COLLATE "C"',
    "name": 'lower(a.name) COLLATE "C"',
    "created_at": "a.created_at",
    "updated_at": "a.updated_at",
}

_THREADS = """
SELECT thread_id FROM threads
WHERE metadata @> jsonb_build_object('assistant_id', %(assistant)s::text) AND owner IS NOT DISTINCT FROM %(owner)s
  AND {visible}
ORDER BY thread_id LIMIT %(limit)s"""


def assistants_found(
    which: AssistantFilter,
    *,
    sort_by: SortBy = "created_at",
    order: SortOrder = "desc",
    limit: int = 10,
    offset: int = 0,
) -> Listing[AssistantRow]:
    """A page of the assistants that fit."""
    return Listing(
        columns=COLUMNS,
        tables=_tables(which),
        found=_found(which),
        key="a.assistant_id",
        order=f"{_KEYS[sort_by]} {order}, a.created_at, a.assistant_id",
        params=_filter_params(which),
        limit=limit,
        offset=offset,
        make=lambda row: AssistantRow(**loaded(row)),
    )


async def count_assistants(database: Database, which: AssistantFilter) -> int:
    """How many assistants fit."""
    query = f"{_tables(which)} SELECT count(*) AS number {_found(which)}"
    row = await database.fetch_one(query, _filter_params(which))
    return int(row["number"]) if row else 0


async def threads_of_assistant(
    database: Database,
    assistant_id: UUID,
    *,
    owner: str | None,
    visible: MetadataFilter | None = None,
    limit: int = 100,
) -> list[UUID]:
    """An owner's visible threads whose metadata names the assistant, which the last run of a thread does."""
    condition, params = visible.sql("metadata") if visible else ("true", {})
    params |= {"assistant": assistant_id, "owner": owner, "limit": limit}
    return [row["thread_id"] for row in await database.fetch_all(_THREADS.format(visible=condition), params)]


def _tables(which: AssistantFilter) -> str:
    return _TABLES.format(owned=_ANYBODYS if which.any_owner else _THEIRS)


def _found(which: AssistantFilter) -> str:
    return _FOUND.format(visible=which.visible.sql("a.metadata")[0] if which.visible else "true")


def _filter_params(which: AssistantFilter) -> dict[str, Any]:
    return {
        "owner": which.owner,
        "default_ids": [row.assistant_id for row in which.defaults],
        "defaults": orjson.dumps([asdict(row) for row in which.defaults]).decode(),
        "agent": which.agent,
        "graph": which.graph,
        "by_agent": which.by_agent,
        "name": which.name,
        "metadata": orjson.dumps(which.metadata or {}).decode(),
        **(which.visible.sql("a.metadata")[1] if which.visible else {}),
    }
