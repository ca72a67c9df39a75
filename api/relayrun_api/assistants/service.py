"""Assistants as a caller sees them: its own, and the default one of every graph. A change makes a new version."""

from dataclasses import asdict, fields
from typing import Any
from uuid import uuid4

from relayrun_api.assistants import models
from relayrun_api.assistants.lookup import Assistant, AssistantLookup, unchanged
from relayrun_api.assistants.models import AssistantCount, AssistantCreate, AssistantPatch, AssistantSearch
from relayrun_api.auth import Principal
from relayrun_api.http.errors import AssistantExists, AssistantNotFound, Conflict, Forbidden, NotFound
from relayrun_api.runners.graphs import GraphCatalog
from relayrun_core.database import Database
from relayrun_core.db.assistant_search import AssistantFilter, assistants_found, count_assistants
from relayrun_core.db.assistants import (
    AssistantChange,
    AssistantRow,
    AssistantVersion,
    NewAssistant,
    change_assistant,
    create_assistant,
    delete_assistant,
    use_version,
    versions_found,
)
from relayrun_core.db.listing import Listing
from relayrun_core.graph_names import full_name


class AssistantService:
    """Makes, searches, changes and deletes assistants."""

    def __init__(self, database: Database, catalog: GraphCatalog, lookup: AssistantLookup) -> None:
        self._database = database
        self._catalog = catalog
        self._lookup = lookup

    async def create(self, principal: Principal, body: AssistantCreate) -> Assistant:
        """A new assistant of the caller's, or with `do_nothing` the one that has the id already.

        Raises NotFound for an unknown graph and for another owner's id, AssistantExists.
        """
        graph = await self._catalog.get(body.graph_id)
        config, context = body.settings()
        new = NewAssistant(
            assistant_id=body.assistant_id or uuid4(),
            owner=principal.owner,
            agent=graph.graph.agent,
            graph=graph.graph.graph,
            name=body.name or "Untitled",
            description=body.description,
            config=config,
            context=context,
            metadata=body.metadata or {},
            by_agent=body.graph_id == full_name(graph.graph.agent, graph.graph.graph),
        )
        exists = await self._catalog.find_by_default(new.assistant_id) or await self._catalog.was_default(
            new.assistant_id
        )
        if not exists and (made := await create_assistant(self._database, new)):
            return await self._lookup.of(made)
        existing = await self._lookup.get(principal, str(new.assistant_id))
        if body.if_exists == "do_nothing":
            return existing
        raise AssistantExists(
            f"Assistant with ID {new.assistant_id} already exists: use if_exists=do_nothing to get it, or send no id."
        )

    async def update(self, principal: Principal, name: str, body: AssistantPatch) -> Assistant:
        """Make the next version and use it. Raises AssistantNotFound, NotFound for an unknown graph, Forbidden."""
        assistant = await self._to_change(principal, name)
        graph = None if body.graph_id is None else (await self._catalog.get(body.graph_id)).graph
        config, context = body.settings()
        change = AssistantChange(
            agent=graph.agent if graph else None,
            graph=graph.graph if graph else None,
            name=body.name,
            description=body.description,
            config=config,
            configurable=context if config is None else None,
            context=context,
            metadata=body.metadata,
            by_agent=None if graph is None else body.graph_id == full_name(graph.agent, graph.graph),
        )
        row = await change_assistant(self._database, assistant.assistant_id, change)
        if row is None:
            raise AssistantNotFound(f"Assistant {name} was deleted meanwhile: create another with POST /assistants.")
        return await self._lookup.of(row)

    async def use_version(self, principal: Principal, name: str, version: int) -> Assistant:
        """Go back or forth to a version. Raises AssistantNotFound, NotFound for the version, Forbidden."""
        assistant = await self._to_change(principal, name)
        row = await use_version(self._database, assistant.assistant_id, version)
        if row is None:
            raise NotFound(
                f"Version {version} of assistant {name} not found: list them with POST /assistants/{{id}}/versions."
            )
        return await self._lookup.of(row)

    async def versions(
        self, principal: Principal, name: str, *, metadata: dict[str, Any] | None, limit: int, offset: int
    ) -> Listing[AssistantVersion]:
        """An assistant's versions, newest first. Raises AssistantNotFound."""
        row = (await self._lookup.get(principal, name)).row
        never_changed = row.is_default and _contains(row.metadata, metadata or {})
        otherwise = [AssistantVersion(**_common(row, AssistantVersion))] if never_changed else []
        return versions_found(row.assistant_id, metadata=metadata, limit=limit, offset=offset, otherwise=otherwise)

    async def view(self, row: AssistantRow) -> models.Assistant:
        """An assistant that was found."""
        return models.Assistant.of(await self._lookup.of(row))

    async def view_of_version(self, version: AssistantVersion) -> models.AssistantVersion:
        """A version that was found."""
        return models.AssistantVersion.of(version, await self._catalog.name_of(version.agent, version.graph))

    async def search(
        self, database: Database, principal: Principal, query: AssistantSearch
    ) -> tuple[Listing[AssistantRow], int]:
        """A page of the caller's assistants and the default ones, and how many there are on all pages, counted by
        connections for searches.

        Raises NotFound for an unknown graph.
        """
        which = await self._filter(principal, query)
        listing = assistants_found(
            which,
            sort_by=query.sort_by or "created_at",
            order=query.sort_order,
            limit=query.limit,
            offset=query.offset,
        )
        return listing, await count_assistants(database, which)

    async def count(self, database: Database, principal: Principal, query: AssistantCount) -> int:
        """How many there are, by connections for searches. Raises NotFound for an unknown graph."""
        return await count_assistants(database, await self._filter(principal, query))

    async def to_delete(self, principal: Principal, name: str) -> Assistant:
        """An assistant that the caller may delete. Raises AssistantNotFound, and Conflict for a graph's default one."""
        assistant = await self._to_change(principal, name)
        if assistant.row.is_default:
            raise Conflict(
                f"Assistant {name} is the default assistant of its graph, and stays: to undo changes of it, "
                "set its version to 1 with POST /assistants/{id}/latest."
            )
        return assistant

    async def delete(self, assistant: Assistant) -> None:
        """Forget an assistant that may be deleted; runs that were accepted with it go on. Raises AssistantNotFound."""
        if not await delete_assistant(self._database, assistant.assistant_id):
            raise AssistantNotFound(
                f"Assistant {assistant.assistant_id} was deleted meanwhile: there is nothing left to do."
            )

    async def _to_change(self, principal: Principal, name: str) -> Assistant:
        assistant = await self._lookup.get(principal, name)
        row = assistant.row
        if row.is_default:
            if not principal.admin:
                raise Forbidden(
                    f"Assistant {name} belongs to everybody, so only an admin may change it: create your own with "
                    "POST /assistants."
                )
            await delete_assistant(self._database, row.assistant_id)  # of somebody who took its id; never itself
            await create_assistant(self._database, NewAssistant(**_common(row, NewAssistant)))
        return assistant

    async def _filter(self, principal: Principal, query: AssistantCount) -> AssistantFilter:
        offered = None if query.graph_id is None else await self._catalog.get(query.graph_id)
        graph = offered.graph if offered else None
        defaults, which = list(await self._catalog.all()), None
        if offered and offered.shares:
            which = False
        elif offered and offered not in defaults:  # of one agent of a traffic group
            defaults, which = [*defaults, offered], True
        scope = principal.scope("assistants")
        return AssistantFilter(
            owner=scope.owner,
            any_owner=scope.any_owner,
            visible=scope.visible,
            defaults=[unchanged(default) for default in defaults],
            agent=graph.agent if graph and which is not False else None,
            graph=graph.graph if graph else None,
            by_agent=which,
            name=query.name,
            metadata=query.metadata,
        )


def _common(row: AssistantRow, kind: type[NewAssistant | AssistantVersion]) -> dict[str, Any]:
    """What a row has of another kind's fields."""
    known = {field.name for field in fields(kind)}
    return {name: value for name, value in asdict(row).items() if name in known}


def _contains(metadata: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(key in metadata and metadata[key] == value for key, value in wanted.items())
