"""Assistants: graphs with configuration. A row is its assistant at the current version; all versions stay beside it.

The default assistant of a graph has no row until it is changed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.db.listing import Listing
from relayrun_core.db.rows import MAX_OBJECT_BYTES, MERGES
from relayrun_core.errors import MetadataTooLarge


@dataclass(frozen=True, kw_only=True)
class Configured:
    """A graph with configuration. `by_agent`: it was named as `agent/graph`, and means that agent's alone."""

    agent: str
    graph: str
    name: str
    description: str | None
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    by_agent: bool = False


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
    by_agent: bool | None = None


_JSON = ("config", "context", "metadata")
# JSON comes as text: a number beyond 64 bits is then read as it was when it was sent, and can be written again.
COLUMNS, _VERSION_COLUMNS = (
    ", ".join(f"a.{field.name}::text" if field.name in _JSON else f"a.{field.name}" for field in fields(kind))
    for kind in (AssistantRow, AssistantVersion)
)
_NOTE = """
INSERT INTO assistant_versions
    (assistant_id, version, agent, graph, name, description, config, context, metadata, by_agent, created_at)
SELECT assistant_id, version, agent, graph, name, description, config, context, metadata, by_agent, updated_at FROM"""

_GET = f"SELECT {COLUMNS} FROM assistants a WHERE a.assistant_id = %s"  # noqa: S608 - our own column names, as below
_CREATE = f"""
WITH made AS (
    INSERT INTO assistants (assistant_id, owner, agent, graph, name, description, config, context, metadata,
                            by_agent, is_default, created_at, updated_at)
    VALUES (%(assistant_id)s, %(owner)s, %(agent)s, %(graph)s, %(name)s, %(description)s, %(config)s, %(context)s,
            %(metadata)s, %(by_agent)s, %(is_default)s, coalesce(%(created_at)s, now()),
            coalesce(%(created_at)s, now()))
    ON CONFLICT (assistant_id) DO NOTHING RETURNING *
), noted AS ({_NOTE} made)
SELECT {COLUMNS} FROM made a"""  # noqa: S608
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
        metadata = metadata || %(metadata)s::jsonb, by_agent = coalesce(%(by_agent)s, by_agent)
    WHERE assistant_id = %(assistant)s AND {MERGES} RETURNING *
), noted AS ({_NOTE} changed)
SELECT {COLUMNS} FROM changed a"""  # noqa: S608
_SET_VERSION = f"""
UPDATE assistants a SET
    version = v.version, agent = v.agent, graph = v.graph, name = v.name, description = v.description,
    config = v.config, context = v.context, metadata = v.metadata, by_agent = v.by_agent, updated_at = now()
FROM assistant_versions v
WHERE a.assistant_id = %(assistant)s AND v.assistant_id = a.assistant_id AND v.version = %(version)s
RETURNING {COLUMNS}"""  # noqa: S608
_VERSIONS = """
FROM assistant_versions a WHERE a.assistant_id = %(assistant)s AND a.metadata @> %(metadata)s::jsonb"""
_VERSION = f"SELECT {_VERSION_COLUMNS} FROM assistant_versions a WHERE a.assistant_id = %s AND a.version = %s"  # noqa: S608
_DELETE = "DELETE FROM assistants WHERE assistant_id = %s AND NOT is_default"


async def get_assistant(database: Database, assistant_id: UUID) -> AssistantRow | None:
    """The assistant, anybody's, or None."""
    return _to_row(await database.fetch_one(_GET, (assistant_id,)))


async def create_assistant(database: Database, new: NewAssistant) -> AssistantRow | None:
    """Make an assistant and note its version; None when there is one with this id."""
    return _to_row(await database.fetch_one(_CREATE, _params(asdict(new))))


async def change_assistant(database: Database, assistant_id: UUID, change: AssistantChange) -> AssistantRow | None:
    """Make the next version and use it; None when there is no such assistant. Raises MetadataTooLarge."""
    params = {"assistant": assistant_id, **_params(asdict(change) | {"metadata": change.metadata or {}})}
    changed = _to_row(await database.fetch_one(_CHANGE, params))
    if changed is None and await get_assistant(database, assistant_id):
        raise MetadataTooLarge(
            f"the assistant's metadata would be larger than {MAX_OBJECT_BYTES} bytes of JSON: keep what is large "
            "elsewhere"
        )
    return changed


async def use_version(database: Database, assistant_id: UUID, version: int) -> AssistantRow | None:
    """Use one of its versions; None when it has none of this number."""
    return _to_row(await database.fetch_one(_SET_VERSION, {"assistant": assistant_id, "version": version}))


def versions_found(
    assistant_id: UUID,
    *,
    metadata: dict[str, Any] | None = None,
    limit: int = 10,
    offset: int = 0,
    otherwise: Sequence[AssistantVersion] = (),
) -> Listing[AssistantVersion]:
    """An assistant's versions, newest first; `metadata` must be contained in theirs. `otherwise`: if there are none."""
    return Listing(
        columns=_VERSION_COLUMNS,
        found=_VERSIONS,
        key="a.version",
        order="a.version DESC",
        params={"assistant": assistant_id, **_params({"metadata": metadata or {}})},
        limit=limit,
        offset=offset,
        make=lambda row: AssistantVersion(**loaded(row)),
        otherwise=otherwise,
    )


async def get_version(database: Database, assistant_id: UUID, version: int) -> AssistantVersion | None:
    """One of an assistant's versions, or None."""
    row = await database.fetch_one(_VERSION, (assistant_id, version))
    return AssistantVersion(**loaded(row)) if row else None


async def delete_assistant(database: Database, assistant_id: UUID) -> bool:
    """Forget an assistant and its versions; its runs stay. False: there is none, or it is a graph's own."""
    return await database.execute(_DELETE, (assistant_id,)) > 0


def _params(values: dict[str, Any]) -> dict[str, Any]:
    return {name: orjson.dumps(value).decode() if isinstance(value, dict) else value for name, value in values.items()}


def loaded(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `COLUMNS`, its JSON read."""
    return row | {name: orjson.loads(row[name]) for name in _JSON}


def _to_row(row: dict[str, Any] | None) -> AssistantRow | None:
    return AssistantRow(**loaded(row)) if row else None
