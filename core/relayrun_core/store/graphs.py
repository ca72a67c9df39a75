"""What runners found in their agents' code: graphs, their schemas and drawings."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from relayrun_core.database import Database

_REGISTER = """
INSERT INTO graphs (agent, graph, build, description, schemas, drawing)
VALUES (%(agent)s, %(graph)s, %(build)s, %(description)s, %(schemas)s, %(drawing)s)
ON CONFLICT (agent, graph, build) DO UPDATE SET description = EXCLUDED.description, schemas = EXCLUDED.schemas,
    drawing = EXCLUDED.drawing, registered_at = now()"""
# The newest build of an agent says what it offers; older builds stay for runs that began in them.
_LIST = """
SELECT g.agent, g.graph, g.build, g.description, g.schemas, g.drawing, g.registered_at FROM graphs g
WHERE g.build = (SELECT n.build FROM graphs n WHERE n.agent = g.agent ORDER BY n.registered_at DESC LIMIT 1)
ORDER BY g.agent, g.graph"""


@dataclass(frozen=True)
class GraphRow:
    """A graph an agent offers. `schemas` has the keys input, output, state, config and context (JSON Schema)."""

    agent: str
    graph: str
    build: str
    description: str | None
    schemas: dict[str, Any]
    drawing: dict[str, Any]
    registered_at: datetime


async def register_graph(
    database: Database,
    *,
    agent: str,
    graph: str,
    build: str,
    schemas: dict[str, Any],
    drawing: dict[str, Any],
    description: str | None = None,
) -> None:
    """Note that a build of an agent offers this graph; saying it again updates it."""
    params = {
        "agent": agent,
        "graph": graph,
        "build": build,
        "description": description,
        "schemas": orjson.dumps(schemas, default=str).decode(),
        "drawing": orjson.dumps(drawing, default=str).decode(),
    }
    await database.execute(_REGISTER, params)


async def list_graphs(database: Database) -> list[GraphRow]:
    """Every agent's graphs, of its newest build."""
    return [GraphRow(**row) for row in await database.fetch_all(_LIST)]
