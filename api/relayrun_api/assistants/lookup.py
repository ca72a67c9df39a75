"""Finds the assistant that a caller means: one that it may see, by id, or a graph's default one, by the graph's name.

Each is looked up in the database when it is asked for, so that a change is there for the next request on any replica.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from uuid import UUID, uuid4

from relayrun_api.auth import Principal
from relayrun_api.http.errors import AssistantNotFound, Invalid, NoAssistantId, NoGraph, RunnersAway
from relayrun_api.runners.graphs import GraphCatalog, OfferedGraph, Share, object_schema
from relayrun_core.database import Database
from relayrun_core.db.agents import GraphRow
from relayrun_core.db.assistants import AssistantRow, Configured, get_assistant, get_version
from relayrun_core.db.threads import get_thread
from relayrun_core.graph_names import drawn, full_name
from relayrun_core.ids import default_assistant_id

#: What LangGraph's clients know default assistants by.
_OF_THE_SYSTEM = {"created_by": "system"}


@dataclass(frozen=True)
class Assistant:
    """A graph with configuration, at its current version. `graph` None: nobody offers its graph any more.

    `shares`: the agents of a traffic group, any of which may run it.
    """

    row: AssistantRow
    graph_id: str
    graph: GraphRow | None
    shares: tuple[Share, ...] = ()

    @property
    def assistant_id(self) -> UUID:
        """Its id."""
        return self.row.assistant_id

    @property
    def takes_messages(self) -> bool:
        """Whether its input has `messages`; a graph without a schema may."""
        schema = self._schema("input") or self._schema("state")
        return not schema or "messages" in (schema.get("properties") or {})

    @property
    def context_schema(self) -> Mapping[str, Any]:
        """The JSON schema of its context; empty where it declares none."""
        return self._schema("context")

    def _schema(self, kind: str) -> Mapping[str, Any]:
        return object_schema(self.graph.schemas.get(kind)) if self.graph else {}


class AssistantLookup:
    """Finds assistants."""

    def __init__(self, database: Database, catalog: GraphCatalog, default_graph: str | None = None) -> None:
        self._database = database
        self._catalog = catalog
        self._default_graph = default_graph

    async def get(self, principal: Principal, name: str) -> Assistant:
        """The assistant with this id, or a graph's default one by its name. Raises AssistantNotFound."""
        visible = principal.scope("assistants").visible
        assistant = await self._find(principal, name)
        # Everybody may run a graph's own; who may look at it, an author's handler decides as for all others.
        if assistant and (visible is None or visible.matches(assistant.row.metadata)):
            return assistant
        kind = NoAssistantId if _uuid(name) is None else AssistantNotFound
        raise kind(
            f"Assistant {name} not found: look for yours with POST /assistants/search, or "
            f"{await self._catalog.choices()}"
        )

    async def to_run(self, principal: Principal, name: str, thread_id: UUID | None = None) -> Assistant:
        """As `named`, at the agent that the run is for: on a thread if one is given. Raises also RunnersAway where no
        agent of a traffic group takes new threads.
        """
        assistant = await self.named(principal, name)
        if assistant.shares:
            return await self.placed(assistant, thread_id)
        shared = self._catalog.is_shared(assistant.row.graph)
        if thread_id is None or not shared or _names_the_agent(name, assistant.row):
            return assistant
        thread = await get_thread(self._database, thread_id)
        same = thread is not None and thread.metadata.get("graph_id") == assistant.graph_id
        return await self.kept_at(assistant, thread.agent) if thread and same else assistant

    async def placed(self, assistant: Assistant, thread_id: UUID | None) -> Assistant:
        """The assistant at one agent of its traffic group: where the thread ran last, else as the weights say."""
        if not assistant.shares:
            return assistant
        by_agent = {share.claimant.agent: share for share in assistant.shares}
        thread = await get_thread(self._database, thread_id) if thread_id else None
        share = by_agent.get((thread.agent or "") if thread else "")
        if share is None:
            new = drawn([share.claimant for share in assistant.shares], str(thread_id or uuid4()))
            if new is None:
                group = assistant.shares[0].claimant.group
                raise RunnersAway(f"Every Agent of traffic group {group} has the weight 0: no new threads start there.")
            share = by_agent[new.agent]
        return replace(assistant, row=replace(assistant.row, agent=share.claimant.agent), graph=share.graph)

    async def named(self, principal: Principal, name: str) -> Assistant:
        """As `get`, for runs. Raises also Invalid (422) for a name that no graph has, as langgraph-api does, and for a
        graph that is gone; RunnersAway.
        """
        assistant = await self._find(principal, name)
        if assistant is None:
            await self._catalog.require_some()
            choices = await self._catalog.choices()
            if _uuid(name) is None:
                raise NoGraph(f"Invalid assistant: {name!r} is neither an assistant's id nor a graph, {choices}")
            raise AssistantNotFound(f"Thread or assistant not found: there is no assistant {name}, {choices}")
        return await self._offered(assistant)

    async def kept_at(self, assistant: Assistant, agent: str | None) -> Assistant:
        """A graph's own assistant at the agent that it meant before, while that offers the graph: names may move."""
        sharing = [share.claimant.agent for share in assistant.shares]
        if agent in (None, assistant.row.agent, *sharing) or not assistant.row.is_default:
            return assistant
        offered = await self._catalog.find_of(agent or "", assistant.row.graph)
        if offered is None:
            return assistant
        row = replace(assistant.row, agent=offered.graph.agent)
        return Assistant(row, assistant.graph_id, offered.graph)

    async def at_version(self, assistant: Assistant, version: int) -> Assistant:
        """The assistant as it was at a version. Raises Invalid where its graph is not offered any more."""
        if version == assistant.row.version:
            return assistant
        found = await get_version(self._database, assistant.assistant_id, version)
        if found is None:
            raise AssistantNotFound(f"Assistant {assistant.assistant_id} has no version {version} any more.")
        settings = {field.name: getattr(found, field.name) for field in fields(Configured)}
        return await self._offered(await self.of(replace(assistant.row, version=version, **settings)))

    async def default(self, principal: Principal, thread_id: UUID) -> Assistant:
        """The one for who names none: of the only graph, else the setting `default_graph`. Raises as `to_run`."""
        graphs = await self._catalog.all()
        if len(graphs) == 1:
            return await self.to_run(principal, graphs[0].name, thread_id)
        if self._default_graph is not None:
            return await self.to_run(principal, self._default_graph, thread_id)
        await self._catalog.require_some()
        raise Invalid(f"Name an `assistant_id`: {await self._catalog.choices()}")

    async def of(self, row: AssistantRow) -> Assistant:
        """The assistant of a row. The default one of a name is of who has the name, once its own agent has gone."""
        offered = await self._catalog.find_of(row.agent, row.graph)
        if not row.by_agent and (group := await self._catalog.group_of(row.agent, row.graph)):
            at = offered or group
            return Assistant(replace(row, agent=at.graph.agent), group.name, at.graph, group.shares)
        if offered is None and row.is_default and (named := await self._catalog.find_by_default(row.assistant_id)):
            row, offered = replace(row, agent=named.graph.agent, graph=named.graph.graph), named
        if offered is None:
            return Assistant(row, await self._catalog.name_of(row.agent, row.graph), None)
        return Assistant(row, offered.name, offered.graph)

    async def _offered(self, assistant: Assistant) -> Assistant:
        if assistant.graph is None:
            await self._catalog.require_some()
            raise Invalid(
                f"Graph {assistant.graph_id!r} of assistant {assistant.assistant_id} no longer exists: update "
                f"its `graph_id`, {await self._catalog.choices()}"
            )
        return assistant

    async def _find(self, principal: Principal, name: str) -> Assistant | None:
        assistant_id = _uuid(name)
        if assistant_id is None:
            graph = await self._catalog.find(name)
        else:
            graph = await self._catalog.find_by_default(assistant_id)
        if graph is not None:
            for known in dict.fromkeys((assistant_id or graph.assistant_id, graph.assistant_id)):
                row = await get_assistant(self._database, known)
                # An id can be guessed before its graph is there: whoever took it must not stand for the graph.
                if row and row.is_default:
                    return await self.of(replace(row, by_agent=graph.by_agent))
            return await self.of(unchanged(graph))
        row = await get_assistant(self._database, assistant_id) if assistant_id else None
        if row is None or row.is_default or not principal.scope("assistants").covers(row.owner, row.metadata):
            return None  # a default assistant is there as long as its graph
        if row.owner != principal.owner and await self._catalog.was_default(row.assistant_id):
            return None  # nor does who took its id stand for one that is gone
        return await self.of(row)


def unchanged(graph: OfferedGraph) -> AssistantRow:
    """A graph's default assistant as it is before anybody changes it."""
    row = graph.graph
    return AssistantRow(
        assistant_id=graph.assistant_id,
        owner=None,
        agent=row.agent,
        graph=row.graph,
        name=row.own_name or graph.name,
        description=row.description,
        config=row.config,
        context={**(row.config.get("configurable") or {}), **(row.config.get("context") or {})},
        metadata=_OF_THE_SYSTEM,
        version=1,
        is_default=True,
        by_agent=graph.by_agent,
        created_at=row.registered_at,
        updated_at=row.registered_at,
    )


def _names_the_agent(name: str, row: AssistantRow) -> bool:
    full = full_name(row.agent, row.graph)
    return name == full or _uuid(name) == default_assistant_id(full)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
