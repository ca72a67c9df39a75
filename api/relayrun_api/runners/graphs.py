"""Graphs as runners have registered them. Kept for a few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relayrun_api.http.errors import NotFound, RunnersAway
from relayrun_api.runners.starting import Starting
from relayrun_core.database import Database
from relayrun_core.db.agents import GraphRow, list_graphs, registered_graphs
from relayrun_core.graph_names import Claimant, full_name, holders
from relayrun_core.ids import default_assistant_id

_FRESH_SECONDS = 5.0
# An unknown name may be a graph that was registered just now; a client that repeats it must not become load.
_LOOK_AGAIN_SECONDS = 0.5
_DEFAULT_ID_VERSION = 5  # of a UUID that is made of a name


@dataclass(frozen=True)
class Share:
    """One of the agents that share a graph's name by weight, and the graph as it offers it."""

    claimant: Claimant
    graph: GraphRow


@dataclass(frozen=True)
class OfferedGraph:
    """A graph that an agent offers. `name` is the graph's, with its agent's in front where an older agent has it.

    `shares`: the agents of a traffic group, of which `graph` is the oldest's; none where the name means one agent.
    """

    name: str
    graph: GraphRow
    shares: tuple[Share, ...] = ()

    @property
    def by_agent(self) -> bool:
        """Whether its name has its agent's in front."""
        return self.name == full_name(self.graph.agent, self.graph.graph)

    @property
    def assistant_id(self) -> UUID:
        """The id of its default assistant."""
        return default_assistant_id(self.name)


async def all_of_them(agents: Collection[str]) -> Mapping[str, Claimant]:
    """Where nobody knows of agents that are gone."""
    return {agent: Claimant(agent) for agent in agents}


class GraphCatalog:
    """Looks graphs up by name."""

    def __init__(
        self,
        database: Database,
        starting: Starting,
        claimants: Callable[[Collection[str]], Awaitable[Mapping[str, Claimant] | None]] = all_of_them,
    ) -> None:
        """`claimants`: which of these agents there are, None while nobody knows; graphs of others are not offered.

        While a world is `starting`, whoever looks waits, and may get RunnersAway.
        """
        self._database = database
        self._starting = starting
        self._claimants = claimants
        self._offered: list[OfferedGraph] = []
        self._rows: list[GraphRow] = []
        self._pinning: frozenset[str] = frozenset()
        self._by_name: dict[str, OfferedGraph] = {}
        self._by_default_id: dict[UUID, OfferedGraph] = {}
        self._shared: frozenset[str] = frozenset()
        self._undecided: frozenset[str] = frozenset()
        self._apps: dict[str, GraphRow] = {}
        self._read_at = -_FRESH_SECONDS
        self._reading = asyncio.Lock()

    async def all(self) -> list[OfferedGraph]:
        """Every graph, each once."""
        await self._refresh(_FRESH_SECONDS)
        return self._offered

    async def by_agent(self) -> Mapping[str, list[GraphRow]]:
        """The graphs of each agent."""
        await self._refresh(_FRESH_SECONDS)
        agents: dict[str, list[GraphRow]] = {}
        for row in self._rows:
            agents.setdefault(row.agent, []).append(row)
        return agents

    async def apps(self) -> Mapping[str, GraphRow]:
        """A graph of each agent that has a web app of its own, by agent."""
        await self._refresh(_FRESH_SECONDS)
        if not self._apps:
            await self._refresh(_LOOK_AGAIN_SECONDS)
        return self._apps

    async def find(self, name: str) -> OfferedGraph | None:
        """The graph with this name, which may have its agent's in front.

        Raises RunnersAway while it is not known which of several agents has the name.
        """
        found = await self._find(lambda: self._by_name.get(name))
        if found is None and name in self._undecided:
            raise RunnersAway(
                f"Several agents offer {name!r}, and it is not known yet which is the oldest: try again in "
                "a moment, or name one as agent/graph."
            )
        return found

    async def find_by_default(self, assistant_id: UUID) -> OfferedGraph | None:
        """The graph whose default assistant has this id, or has it as `agent/graph`."""
        if assistant_id.version != _DEFAULT_ID_VERSION:
            return None  # and no reason to look again
        return await self._find(lambda: self._by_default_id.get(assistant_id))

    async def was_default(self, assistant_id: UUID) -> bool:
        """Whether it is the id of the default assistant of a graph that is or was here."""
        if assistant_id.version != _DEFAULT_ID_VERSION:
            return False
        known = await registered_graphs(self._database)
        return any(assistant_id == default_assistant_id(name) for pair in known for name in (full_name(*pair), pair[1]))

    async def find_of(self, agent: str, graph: str) -> OfferedGraph | None:
        """An agent's graph."""
        return await self.find(full_name(agent, graph))

    async def group_of(self, agent: str, graph: str) -> OfferedGraph | None:
        """The graph under the name that a traffic group shares: one that the agent is of, or its heir if it is gone."""
        offered = await self.find_of(agent, graph)
        plain = self._by_name.get(graph)
        if plain is None or not plain.shares:
            return None
        sharing = offered is None or any(share.claimant.agent == agent for share in plain.shares)
        return plain if sharing else None

    def pins(self, agent: str) -> bool:
        """Whether the agent's open threads kept their revision a moment ago."""
        return agent in self._pinning

    def is_shared(self, graph: str) -> bool:
        """Whether several agents offered it a moment ago."""
        return graph in self._shared

    async def name_of(self, agent: str, graph: str) -> str:
        """What an agent's graph is called, also one that is not offered any more."""
        if offered := await self.find_of(agent, graph):
            return offered.name
        return full_name(agent, graph) if graph in self._by_name else graph

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
            agents = await self._claimants({row.agent for row in rows})
            current = {name: claimant.revision for name, claimant in (agents or {}).items() if claimant.revision}
            if any(current.get(row.agent, row.build) != row.build for row in rows):
                # A runner of an older revision came last.
                rows = await list_graphs(self._database, current)
            self._pinning = frozenset(name for name, claimant in (agents or {}).items() if claimant.pins)
            self._take(rows, agents)
            self._read_at = now

    def _take(self, rows: list[GraphRow], agents: Mapping[str, Claimant] | None) -> None:
        self._rows = [row for row in rows if agents is None or row.agent in agents]
        by_graph: dict[str, list[GraphRow]] = {}
        for row in self._rows:
            by_graph.setdefault(row.graph, []).append(row)
        self._shared = frozenset(name for name, offers in by_graph.items() if len(offers) > 1)
        self._undecided = self._shared if agents is None else frozenset()
        self._offered = [graph for offers in by_graph.values() for graph in _named(offers, agents)]
        each = ((full_name(row.agent, row.graph), row) for row in self._rows)
        self._by_name = {name: OfferedGraph(name, row) for name, row in each}
        alone = [graph for graph in self._offered if not graph.shares]
        self._by_name |= {full_name(graph.graph.agent, graph.graph.graph): graph for graph in alone}
        # Names that had an agent's in front stay good once the plain one is free.
        self._by_default_id = {default_assistant_id(name): graph for name, graph in self._by_name.items()}
        self._by_name |= {graph.name: graph for graph in self._offered}
        self._by_default_id |= {graph.assistant_id: graph for graph in self._offered}
        self._apps = {row.agent: row for row in self._rows if row.http.app}


def _named(offers: list[GraphRow], agents: Mapping[str, Claimant] | None) -> list[OfferedGraph]:
    """The graphs of one name, as they are called."""
    if agents is None:
        return [OfferedGraph(full_name(row.agent, row.graph) if offers[1:] else row.graph, row) for row in offers]
    by_agent = {row.agent: row for row in offers}
    holding = holders(agents[name] for name in by_agent)
    shares = tuple(Share(claimant, by_agent[claimant.agent]) for claimant in holding)
    plain = OfferedGraph(offers[0].graph, shares[0].graph, shares if holding[0].group is not None else ())
    held = {claimant.agent for claimant in holding}
    return [plain, *(OfferedGraph(full_name(row.agent, row.graph), row) for row in offers if row.agent not in held)]


def object_schema(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The JSON schema that names an object's properties; empty for none."""
    schema = schema or {}
    # A root model's schema says where it is.
    reference, definitions = schema.get("$ref"), schema.get("$defs")
    if "properties" not in schema and isinstance(reference, str) and isinstance(definitions, dict):
        return object_schema({"$defs": definitions} | (definitions.get(reference.rsplit("/", 1)[-1]) or {}))
    return schema
