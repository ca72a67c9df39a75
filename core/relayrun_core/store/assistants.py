"""Assistants: graphs with configuration. A row is its assistant at the current version; all versions stay beside it.

The default assistant of a graph has no row until it is changed: callers bring what it is then as an `AssistantRow`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.metadata_filter import MetadataFilter

SortBy = Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"]
SortOrder = Literal["asc", "desc"]


@dataclass(frozen=True, kw_only=True)
class Configured:
    """A graph with configuration."""

    agent: str
    graph: str
    name: str
    description: str | None
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class NewAssistant(Configured):
    """An assistant to be made. `is_default`: a graph's own, which has no owner and is everybody's."""

    assistant_id: UUID
    owner: str | None
    is_default: bool = False
    #: Since when there is one; None: now.
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class AssistantRow(Configured):
    """A row of `assistants`."""

    assistant_id: UUID
    owner: str | None
    version: int
    is_default: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class AssistantVersion(Configured):
    """A row of `assistant_versions`."""

    assistant_id: UUID
    version: int
    created_at: datetime


@dataclass(frozen=True)
class AssistantChange:
    """What a new version changes. None: it stays.

    `configurable` replaces that part of the config alone, and is for changes without `config`; `metadata` is merged.
    """

    agent: str | None = None
    graph: str | None = None
    name: str | None = None
    description: str | None = None
    config: dict[str, Any] | None = None
    configurable: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


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
    name: str | None = None
    metadata: dict[str, Any] | None = None
    #: What an author's handler lets the caller see.
    visible: MetadataFilter | None = None


_JSON = ("config", "context", "metadata")
# JSON comes as text: a number beyond 64 bits is then read as it was when it was sent, and can be written again.
_COLUMNS, _VERSION_COLUMNS = (
    ", ".join(f"a.{field.name}::text" if field.name in _JSON else f"a.{field.name}" for field in fields(kind))
    for kind in (AssistantRow, AssistantVersion)
)
_NOTE = """
INSERT INTO assistant_versions
    (assistant_id, version, agent, graph, name, description, config, context, metadata, created_at)
SELECT assistant_id, version, agent, graph, name, description, config, context, metadata, updated_at FROM"""

_GET = f"SELECT {_COLUMNS} FROM assistants a WHERE a.assistant_id = %s"  # noqa: S608 - our own column names, as below
_CREATE = f"""
WITH made AS (
    INSERT INTO assistants (assistant_id, owner, agent, graph, name, description, config, context, metadata,
                            is_default, created_at, updated_at)
    VALUES (%(assistant_id)s, %(owner)s, %(agent)s, %(graph)s, %(name)s, %(description)s, %(config)s, %(context)s,
            %(metadata)s, %(is_default)s, coalesce(%(created_at)s, now()), coalesce(%(created_at)s, now()))
    ON CONFLICT (assistant_id) DO NOTHING RETURNING *
), noted AS ({_NOTE} made)
SELECT {_COLUMNS} FROM made a"""  # noqa: S608
# One statement: whoever changes the same assistant at the same time waits for the row, and gets the next number.
_CHANGE = f"""
WITH changed AS (
    UPDATE assistants SET
        newest = newest + 1, version = newest + 1, updated_at = now(),
        agent = coalesce(%(agent)s, agent), graph = coalesce(%(graph)s, graph), name = coalesce(%(name)s, name),
        description = coalesce(%(description)s, description),
        config = coalesce(%(config)s::jsonb, CASE WHEN %(configurable)s::jsonb IS NULL THEN config
                          ELSE config || jsonb_build_object('configurable', %(configurable)s::jsonb) END),
        context = coalesce(%(context)s::jsonb, context),
        metadata = metadata || coalesce(%(metadata)s::jsonb, '{{}}')
    WHERE assistant_id = %(assistant)s RETURNING *
), noted AS ({_NOTE} changed)
SELECT {_COLUMNS} FROM changed a"""  # noqa: S608
_SET_VERSION = f"""
UPDATE assistants a SET
    version = v.version, agent = v.agent, graph = v.graph, name = v.name, description = v.description,
    config = v.config, context = v.context, metadata = v.metadata, updated_at = now()
FROM assistant_versions v
WHERE a.assistant_id = %(assistant)s AND v.assistant_id = a.assistant_id AND v.version = %(version)s
RETURNING {_COLUMNS}"""  # noqa: S608
_VERSIONS = f"""
SELECT {_VERSION_COLUMNS} FROM assistant_versions a
WHERE a.assistant_id = %(assistant)s AND a.metadata @> %(metadata)s::jsonb
ORDER BY a.version DESC LIMIT %(limit)s OFFSET %(offset)s"""  # noqa: S608
_DELETE = "DELETE FROM assistants WHERE assistant_id = %s AND NOT is_default"

_THEIRS = "NOT is_default AND owner = %(owner)s"
_ANYBODYS = "NOT is_default"
# The default ones that were never changed come from the parameter, the others from their row.
_FOUND = """
WITH a AS (
    SELECT * FROM assistants WHERE {owned} AND assistant_id <> ALL(%(default_ids)s)
    UNION ALL
    SELECT * FROM assistants WHERE is_default AND assistant_id = ANY(%(default_ids)s)
    UNION ALL
    SELECT d.* FROM jsonb_populate_recordset(NULL::assistants, %(defaults)s::jsonb) d
    WHERE NOT EXISTS (SELECT 1 FROM assistants kept WHERE kept.assistant_id = d.assistant_id AND kept.is_default)
)
SELECT {what} FROM a
WHERE (%(graph)s::text IS NULL OR (a.agent, a.graph) = (%(agent)s, %(graph)s))
  AND (%(name)s::text IS NULL OR position(lower(%(name)s) IN lower(a.name)) > 0)
  AND a.metadata @> %(metadata)s::jsonb AND {visible}"""
_PAGE = "ORDER BY {key} {order}, a.created_at, a.assistant_id LIMIT %(limit)s OFFSET %(offset)s"
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


async def get_assistant(database: Database, assistant_id: UUID) -> AssistantRow | None:
    """The assistant, anybody's, or None."""
    return _to_row(await database.fetch_one(_GET, (assistant_id,)))


async def create_assistant(database: Database, new: NewAssistant) -> AssistantRow | None:
    """Make an assistant and note its version; None when there is one with this id."""
    return _to_row(await database.fetch_one(_CREATE, _params(asdict(new))))


async def change_assistant(database: Database, assistant_id: UUID, change: AssistantChange) -> AssistantRow | None:
    """Make the next version and use it; None when there is no such assistant."""
    return _to_row(await database.fetch_one(_CHANGE, {"assistant": assistant_id, **_params(asdict(change))}))


async def use_version(database: Database, assistant_id: UUID, version: int) -> AssistantRow | None:
    """Use one of its versions; None when it has none of this number."""
    return _to_row(await database.fetch_one(_SET_VERSION, {"assistant": assistant_id, "version": version}))


async def list_versions(
    database: Database, assistant_id: UUID, *, metadata: dict[str, Any] | None = None, limit: int = 10, offset: int = 0
) -> list[AssistantVersion]:
    """An assistant's versions, newest first; `metadata` must be contained in theirs."""
    params = {"assistant": assistant_id, "limit": limit, "offset": offset, **_params({"metadata": metadata or {}})}
    return [AssistantVersion(**_loaded(row)) for row in await database.fetch_all(_VERSIONS, params)]


async def delete_assistant(database: Database, assistant_id: UUID) -> bool:
    """Forget an assistant and its versions; its runs stay. False: there is none, or it is a graph's own."""
    return await database.execute(_DELETE, (assistant_id,)) > 0


async def search_assistants(
    database: Database,
    which: AssistantFilter,
    *,
    sort_by: SortBy = "created_at",
    order: SortOrder = "desc",
    limit: int = 10,
    offset: int = 0,
) -> list[AssistantRow]:
    """A page of the assistants that fit."""
    query = _found(which, _COLUMNS) + "\n" + _PAGE.format(key=_KEYS[sort_by], order=order)
    rows = await database.fetch_all(query, {**_filter_params(which), "limit": limit, "offset": offset})
    return [AssistantRow(**_loaded(row)) for row in rows]


async def count_assistants(database: Database, which: AssistantFilter) -> int:
    """How many assistants fit."""
    row = await database.fetch_one(_found(which, "count(*) AS number"), _filter_params(which))
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


def _found(which: AssistantFilter, what: str) -> str:
    visible = which.visible.sql("a.metadata")[0] if which.visible else "true"
    return _FOUND.format(owned=_ANYBODYS if which.any_owner else _THEIRS, what=what, visible=visible)


def _filter_params(which: AssistantFilter) -> dict[str, Any]:
    return {
        "owner": which.owner,
        "default_ids": [row.assistant_id for row in which.defaults],
        "defaults": orjson.dumps([asdict(row) for row in which.defaults]).decode(),
        "agent": which.agent,
        "graph": which.graph,
        "name": which.name,
        "metadata": orjson.dumps(which.metadata or {}).decode(),
        **(which.visible.sql("a.metadata")[1] if which.visible else {}),
    }


def _params(values: dict[str, Any]) -> dict[str, Any]:
    return {name: orjson.dumps(value).decode() if isinstance(value, dict) else value for name, value in values.items()}


def _loaded(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: orjson.loads(row[name]) for name in _JSON}


def _to_row(row: dict[str, Any] | None) -> AssistantRow | None:
    return AssistantRow(**_loaded(row)) if row else None
