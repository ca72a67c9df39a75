"""The store of the agents, their long-term memory: asked of a runner, which has the author's embedding.

The tables are one for the installation. What runners differ in is how they embed; so those of an agent with a vector
index are asked, where there is one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from relayrun_api.auth import Principal
from relayrun_api.http.errors import Forbidden, NotFound, RunnersAway
from relayrun_api.runners.client import Runners
from relayrun_api.runners.graphs import GraphCatalog
from relayrun_api.store.models import ItemAt, ItemPut, ItemQuery, ItemSearch, NamespaceSearch
from relayrun_core.database import Database
from relayrun_core.db.agents import OWNER_LABELS, indexed_agents


def label_of(caller: Principal) -> str | None:
    """The label that a namespace has to begin with, or have as its second, for the caller to use what is in it.

    None: it may use everything.

    Agents put the user's id into the namespace of what they remember of a user: that is how LangGraph has it.
    """
    scope = caller.scope("store")
    return None if scope.any_owner else scope.owner or ""


class StoreService:
    """Reads and writes the items that the caller may use. Every call may be repeated."""

    def __init__(self, runners: Runners, catalog: GraphCatalog, database: Database, default_graph: str | None) -> None:
        self._runners = runners
        self._catalog = catalog
        self._database = database
        self._default_graph = default_graph

    async def get(self, caller: Principal, item: ItemQuery) -> bytes:
        """An item as JSON, or null. Raises NotFound for one that the caller may not use."""
        if not _may_use(caller, item.namespace):
            raise NotFound(f"There is no item for you in {item.namespace}: {_advice(caller)}")
        return await self._ask(item.agent, "get", item.model_dump())

    async def put(self, caller: Principal, item: ItemPut, agent: str | None) -> None:
        """Keep an item. Raises Forbidden."""
        _require(caller, item.namespace)
        await self._ask(agent, "put", item.model_dump(exclude_unset=True))

    async def delete(self, caller: Principal, item: ItemAt, agent: str | None) -> None:
        """Forget an item; one that is not there is forgotten already. Raises Forbidden."""
        _require(caller, item.namespace)
        await self._ask(agent, "delete", item.model_dump())

    async def search(self, caller: Principal, query: ItemSearch, agent: str | None) -> bytes:
        """The items below a namespace that the caller may use, as JSON."""
        return await self._ask(agent, "search", _only_of(caller, query.model_dump(exclude_none=True)))

    async def namespaces(self, caller: Principal, query: NamespaceSearch, agent: str | None) -> bytes:
        """The namespaces that the caller may use, as JSON."""
        wanted = query.model_dump(exclude_none=True)
        if _is_called_anything(caller):
            wanted |= {"literal_prefix": len(query.prefix or ()), "literal_suffix": len(query.suffix or ())}
        return await self._ask(agent, "namespaces", _only_of(caller, wanted))

    async def _ask(self, agent: str | None, call: str, body: Mapping[str, Any]) -> bytes:
        places = await self._places(agent)
        for name, graph in places.items():
            try:
                return await self._runners.ask(name, graph, "POST", f"/store/{call}", body=body)
            except RunnersAway:
                continue
        which = " or ".join(places)
        raise RunnersAway(
            f"No runner of agent {which} is available, and only a runner can read the store: try again in a moment.",
            headers={"Retry-After": "1"},
        )

    async def _places(self, agent: str | None) -> dict[str, str]:
        """The agents to ask, in order, each with one of its graphs."""
        graphs = {name: rows[-1].graph for name, rows in (await self._catalog.by_agent()).items()}
        if agent is not None:
            if agent not in graphs:
                raise NotFound(f"There is no agent {agent!r}: use one of {', '.join(sorted(graphs))}.")
            return {agent: graphs[agent]}
        if not graphs:
            raise RunnersAway(
                "No runner has registered a graph yet: try again in a moment.", headers={"Retry-After": "1"}
            )
        if len(graphs) > 1 and (indexed := await indexed_agents(self._database) & graphs.keys()):
            graphs = {name: graphs[name] for name in indexed}
        first = await self._catalog.find(self._default_graph) if self._default_graph else None
        preferred = first.graph.agent if first else None
        return {name: graphs[name] for name in sorted(graphs, key=lambda name: (name != preferred, name))}


def _may_use(caller: Principal, namespace: Sequence[str]) -> bool:
    label = label_of(caller)
    return label is None or label in namespace[:OWNER_LABELS]


def _require(caller: Principal, namespace: Sequence[str]) -> None:
    if not _may_use(caller, namespace):
        raise Forbidden(f"The namespace {namespace} is not yours: {_advice(caller)}")


def _advice(caller: Principal) -> str:
    return f"make your id, {caller.owner!r}, its first or second label."


def _is_called_anything(caller: Principal) -> bool:
    """Whether `*` may be this very caller's label, which an author's handler has just compared with it."""
    return caller.owner == "*" or "*" in (caller.user or {}).values()


def _only_of(caller: Principal, query: dict[str, Any]) -> dict[str, Any]:
    label = label_of(caller)
    return query if label is None else {**query, "label": label}
