"""What runners report of their agents: graphs, whether the long-term memory is indexed, and language models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from relayrun_core import storable
from relayrun_core.database import Database
from relayrun_core.runner_requests import NO_HTTP, CustomHttp
from relayrun_core.storable import storable_text

# What an agent says of `http` is kept with each of its graphs, so that a build is read as a whole; beside the drawing,
# as what the graph's default assistant is.
_REGISTER = """
INSERT INTO graphs (agent, graph, build, description, schemas, drawing)
VALUES (%(agent)s, %(graph)s, %(build)s, %(description)s, %(schemas)s,
    %(drawing)s::jsonb || jsonb_build_object('http', %(http)s::jsonb, 'assistant', %(assistant)s::jsonb))
ON CONFLICT (agent, graph, build) DO UPDATE SET description = EXCLUDED.description, schemas = EXCLUDED.schemas,
    drawing = EXCLUDED.drawing, registered_at = now()"""
# The current build of an agent says what it offers, if that has registered, else the newest; older builds stay for runs
# that began in them.
_LIST = """
SELECT g.agent, g.graph, g.build, g.description, g.schemas, g.drawing - '{http,assistant}'::text[] AS drawing,
    g.drawing -> 'http' AS http, g.drawing -> 'assistant' AS assistant, g.registered_at FROM graphs g
WHERE g.build = (SELECT n.build FROM graphs n WHERE n.agent = g.agent
                 ORDER BY n.build IS NOT DISTINCT FROM %s::jsonb ->> n.agent DESC, n.registered_at DESC LIMIT 1)
ORDER BY g.agent, g.graph"""


_OPEN_THREADS = """
SELECT revision, count(*) AS threads FROM threads WHERE agent = %s AND revision IS NOT NULL GROUP BY revision"""
_REGISTERED = "SELECT DISTINCT agent, graph FROM graphs"
_HTTP = TypeAdapter(CustomHttp)


@dataclass(frozen=True)
class GraphRow:
    """A graph an agent offers. `schemas` has the keys input, output, state, config and context (JSON Schema).

    `own_name` is what its author calls it; `config` is its default assistant's until somebody changes that.
    """

    agent: str
    graph: str
    build: str
    description: str | None
    schemas: dict[str, Any]
    drawing: dict[str, Any]
    registered_at: datetime
    http: CustomHttp = NO_HTTP
    own_name: str | None = None
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NewGraph:
    """A graph as a runner describes it."""

    graph: str
    schemas: Mapping[str, Any]
    drawing: Mapping[str, Any]
    description: str | None = None
    http: CustomHttp = NO_HTTP
    own_name: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


async def register_graphs(database: Database, graphs: Iterable[NewGraph], *, agent: str, build: str) -> None:
    """Record the graphs that a build of an agent offers, all at once. A second call updates them."""
    params = [
        {
            "agent": agent,
            "graph": new.graph,
            "build": build,
            "description": new.description and storable_text(new.description),
            "schemas": storable.dumps(dict(new.schemas)).decode(),
            "drawing": storable.dumps(dict(new.drawing)).decode(),
            "http": storable.dumps(new.http).decode(),
            "assistant": storable.dumps({"own_name": new.own_name, "config": dict(new.config)}).decode(),
        }
        # In one order: several runners start at once, and each waits for the rows of the other.
        for new in sorted(graphs, key=lambda new: new.graph)
    ]
    async with database.connection() as conn, conn.transaction(), conn.cursor() as cursor:
        await cursor.executemany(_REGISTER, params)


async def list_graphs(database: Database, current: Mapping[str, str] | None = None) -> list[GraphRow]:
    """Every agent's graphs, of its build in `current` if that has registered, else of its newest one."""
    wanted = orjson.dumps(dict(current or {})).decode()
    return [_to_row(row) for row in await database.fetch_all(_LIST, (wanted,))]


async def open_threads(database: Database, agent: str) -> dict[str, int]:
    """How many open threads of the agent began under each revision."""
    return {row["revision"]: row["threads"] for row in await database.fetch_all(_OPEN_THREADS, (agent,))}


async def registered_graphs(database: Database) -> list[tuple[str, str]]:
    """Agent and name of every graph that was ever here."""
    return [(row["agent"], row["graph"]) for row in await database.fetch_all(_REGISTERED)]


def _to_row(row: dict[str, Any]) -> GraphRow:
    # Runners of an older version tell nothing.
    assistant: dict[str, Any] = row.pop("assistant") or {}
    parsed = {"http": _HTTP.validate_python(row["http"] or {}), "own_name": assistant.get("own_name")}
    return GraphRow(**{**row, **parsed, "config": assistant.get("config") or {}})


#: A namespace is the caller's whose id is among this many of its first labels: `(user, …)` and `("memories", user, …)`.
#: Not in any place: what somebody puts below another's namespace would be found by a node that searches there.
OWNER_LABELS = 2

_REGISTER_STORE = """
INSERT INTO agent_stores (agent, indexed) VALUES (%s, %s)
ON CONFLICT (agent) DO UPDATE SET indexed = EXCLUDED.indexed, registered_at = now()"""
_INDEXED = "SELECT agent FROM agent_stores WHERE indexed"


async def register_store(database: Database, *, agent: str, indexed: bool) -> None:
    """Record whether an agent's runners embed store items. A second call updates it."""
    await database.execute(_REGISTER_STORE, (agent, indexed))


async def indexed_agents(database: Database) -> frozenset[str]:
    """Return the agents whose runners embed store items."""
    return frozenset(row["agent"] for row in await database.fetch_all(_INDEXED))


# One statement. Runners that clean up at the same time pass over each other's rows.
_REPORT = """
WITH gone AS (
    DELETE FROM llm_reports WHERE (holder, endpoint) IN (
        SELECT holder, endpoint FROM llm_reports
        WHERE (holder = %(holder)s AND endpoint <> ALL(%(endpoints)s::text[]))
           OR (holder <> %(holder)s AND good_until < now())
        FOR UPDATE SKIP LOCKED))
INSERT INTO llm_reports (holder, endpoint, agent, status, reason, checked_at, good_until)
SELECT %(holder)s, reported.endpoint, %(agent)s, CASE WHEN reported.reason IS NULL THEN 'ok' ELSE 'down' END,
    reported.reason, now(), now() + make_interval(secs => %(seconds)s)
FROM unnest(%(endpoints)s::text[], %(reasons)s::text[]) AS reported (endpoint, reason)
ON CONFLICT (holder, endpoint) DO UPDATE SET agent = EXCLUDED.agent, status = EXCLUDED.status,
    reason = EXCLUDED.reason, checked_at = EXCLUDED.checked_at, good_until = EXCLUDED.good_until"""
_TAKE_BACK = "DELETE FROM llm_reports WHERE holder = %s"
_GOOD = """
SELECT agent, endpoint, reason, count(*) AS runners,
    extract(epoch FROM now() - max(checked_at))::float AS age_seconds
FROM llm_reports WHERE good_until > now() GROUP BY agent, endpoint, reason ORDER BY agent, endpoint, reason"""


@dataclass(frozen=True)
class LlmVerdict:
    """A runner's verdict on an endpoint. `reason`: a sentence that says why it is down; None when it is up."""

    endpoint: str
    reason: str | None = None


@dataclass(frozen=True)
class LlmReport:
    """The verdict of `runners` runners of an agent on an endpoint, the latest of `age_seconds` ago."""

    agent: str
    endpoint: str
    reason: str | None
    runners: int
    age_seconds: float


async def report_llm(
    database: Database, *, agent: str, holder: UUID, verdicts: Sequence[LlmVerdict], good_for_seconds: float
) -> None:
    """Replace what this runner has reported; reports of others that are no longer good are removed."""
    params = {
        "agent": agent,
        "holder": holder,
        "endpoints": [verdict.endpoint for verdict in verdicts],
        "reasons": [verdict.reason for verdict in verdicts],
        "seconds": good_for_seconds,
    }
    await database.execute(_REPORT, params)


async def take_llm_reports_back(database: Database, holder: UUID) -> None:
    """Remove this runner's reports, at its end."""
    await database.execute(_TAKE_BACK, (holder,))


async def llm_reports(database: Database) -> list[LlmReport]:
    """Return the current reports, by agent and endpoint."""
    return [LlmReport(**row) for row in await database.fetch_all(_GOOD)]
