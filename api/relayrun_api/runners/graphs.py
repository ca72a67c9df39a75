"""Graphs as runners have registered them. Kept for a few seconds."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relayrun_api.http.errors import NotFound, RunnersAway
from relayrun_api.runners.starting import Starting
from relayrun_core.database import Database
from relayrun_core.db.agents import GraphRow, list_graphs, registered_graphs
from relayrun_core.ids import default_assistant_id

_FRESH_SECONDS = 5.0
# An unknown name may be a graph that was registered just now; a client that repeats it must not become load.
_LOOK_AGAIN_SECONDS = 0.5
_DEFAULT_ID_VERSION = 5  # of a UUID that is made of a name


@dataclass(frozen=True)
class OfferedGraph:
    """A graph that an agent offers. `name` is the graph's, with its agent's in front where two agents share it."""

    name: str
    graph: GraphRow

    @property
    def assistant_id(self) -> UUID:
        """The id of its default assistant."""
        return default_assistant_id(self.name)


async def all_of_them(agents: Collection[str]) -> Collection[str]:
    """Where nobody knows of agents that are gone."""
    return agents


class GraphCatalog:
    """Looks graphs up by name."""

    def __init__(
        self,
        database: Database,
        starting: Starting,
        existing: Callable[[Collection[str]], Awaitable[Collection[str]]] = all_of_them,
    ) -> None:
        """`existing`: which of these agents there are; graphs of others are not offered any more.

        While a world is `starting`, whoever looks waits, and may get RunnersAway.
        """
        self._database = database
        self._starting = starting
        self._existing = existing
        self._by_name: dict[str, OfferedGraph] = {}
        self._by_default_id: dict[UUID, OfferedGraph] = {}
        self._apps: dict[str, GraphRow] = {}
        self._read_at = -_FRESH_SECONDS
        self._reading = asyncio.Lock()

    async def all(self) -> list[OfferedGraph]:
        """Every graph, each once."""
        await self._refresh(_FRESH_SECONDS)
        return list(self._by_default_id.values())

    async def apps(self) -> Mapping[str, GraphRow]:
        """A graph of each agent that has a web app of its own, by agent."""
        await self._refresh(_FRESH_SECONDS)
        if not self._apps:
            await self._refresh(_LOOK_AGAIN_SECONDS)
        return self._apps

    async def find(self, name: str) -> OfferedGraph | None:
        """The graph with this name, which may have its agent's in front."""
        return await self._find(lambda: self._by_name.get(name))

    async def find_by_default(self, assistant_id: UUID) -> OfferedGraph | None:
        """The graph whose default assistant has this id."""
        if assistant_id.version != _DEFAULT_ID_VERSION:
            return None  # and no reason to look again
        return await self._find(lambda: self._by_default_id.get(assistant_id))

    async def was_default(self, assistant_id: UUID) -> bool:
        """Whether it is the id of the default assistant of a graph that is or was here."""
        if assistant_id.version != _DEFAULT_ID_VERSION:
            return False
        known = await registered_graphs(self._database)
        return any(assistant_id == default_assistant_id(name) for pair in known for name in ("/".join(pair), pair[1]))

    async def find_of(self, agent: str, graph: str) -> OfferedGraph | None:
        """An agent's graph."""
        return await self.find(f"{agent}/{graph}")

    async def name_of(self, agent: str, graph: str) -> str:
        """What an agent's graph is called, also one that is not offered any more."""
        if offered := await self.find_of(agent, graph):
            return offered.name
        return f"{agent}/{graph}" if graph in self._by_name else graph

    async def get(self, name: str) -> OfferedGraph:
        """As `find`. Raises NotFound (404), or RunnersAway while there is no graph at all."""
        if found := await self.find(name):
            return found
        await self.require_some()
        raise NotFound(f"Graph {name!r} not found: {await self.choices()}")

    async def require_some(self) -> None:
        """Raise RunnersAway while there is no graph: an installation just starts, nothing is wrong with the request."""
        if not await self.all():
            raise RunnersAway("No runner has registered a graph yet: try again in a moment.")

    async def choices(self) -> str:
        """The graphs there are, for a refusal's last words."""
        names = sorted(graph.name for graph in await self.all())
        if not names:
            return "no runner has registered a graph yet, look at /status."
        return f"use one of {', '.join(names)}."

    async def _find(self, look: Callable[[], OfferedGraph | None]) -> OfferedGraph | None:
        await self._refresh(_FRESH_SECONDS)
        if (found := look()) is None:
            await self._refresh(_LOOK_AGAIN_SECONDS)
            found = look()
        return found

    async def _refresh(self, older_than_seconds: float) -> None:
        if await self._starting.wait():
            older_than_seconds = 0.0  # what was read before may be an older build's
        # One reads, and whoever comes meanwhile waits: before the first reading nothing is known of any graph.
        async with self._reading:
            now = time.monotonic()
            if now - self._read_at < older_than_seconds:
                return
            rows = await list_graphs(self._database)
            agents = await self._existing({row.agent for row in rows})
            offered = _named([row for row in rows if row.agent in agents])
            self._by_default_id = {graph.assistant_id: graph for graph in offered}
            self._by_name = {_full_name(graph.graph): graph for graph in offered}
            self._by_name |= {graph.name: graph for graph in offered}
            self._apps = {graph.graph.agent: graph.graph for graph in offered if graph.graph.http.app}
            self._read_at = now


def _named(rows: list[GraphRow]) -> list[OfferedGraph]:
    shared = {graph for graph, count in Counter(row.graph for row in rows).items() if count > 1}
    return [OfferedGraph(_full_name(row) if row.graph in shared else row.graph, row) for row in rows]


def _full_name(row: GraphRow) -> str:
    return f"{row.agent}/{row.graph}"


def object_schema(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The JSON schema that names an object's properties; empty for none."""
    schema = schema or {}
    # A root model's schema says where it is.
    reference, definitions = schema.get("$ref"), schema.get("$defs")
    if "properties" not in schema and isinstance(reference, str) and isinstance(definitions, dict):
        return object_schema({"$defs": definitions} | (definitions.get(reference.rsplit("/", 1)[-1]) or {}))
    return schema
