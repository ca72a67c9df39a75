"""Assistants: one for each graph, whose id is made of the graph's name. Every route takes the name too."""

from typing import Any

from starlette.responses import Response

from relayrun_api.answers import Json
from relayrun_api.errors import NotFound
from relayrun_api.models.assistants import AssistantCount, AssistantSearch
from relayrun_api.routes.parts import new_router
from relayrun_api.services.container import Given, Services
from relayrun_api.services.graphs import Assistant
from relayrun_api.services.views import assistant_view, schemas_view

router = new_router("assistants")


@router.post("/assistants/search")
async def search(body: AssistantSearch, services: Given) -> Response:
    """List assistants."""
    found = [assistant_view(assistant) for assistant in await _matching(services, body)]
    key = body.sort_by or "created_at"
    found.sort(key=lambda view: (view[key], view["name"]), reverse=body.sort_order == "desc")
    page = found[body.offset : body.offset + body.limit]
    headers = {"X-Pagination-Total": str(len(found))}
    if body.offset + body.limit < len(found):
        headers["X-Pagination-Next"] = str(body.offset + body.limit)
    return Json(page, headers=headers)


@router.post("/assistants/count")
async def count(body: AssistantCount, services: Given) -> Response:
    """Count assistants."""
    return Json(len(await _matching(services, body)))


@router.get("/assistants/{assistant_id}")
async def get(assistant_id: str, services: Given) -> Response:
    """Get an assistant."""
    return Json(assistant_view(await services.catalog.get(assistant_id)))


@router.get("/assistants/{assistant_id}/graph")
async def graph(assistant_id: str, services: Given) -> Response:
    """Get an assistant's graph: its nodes and edges."""
    assistant = await services.catalog.get(assistant_id)
    return Json(assistant.graph.drawing.get("graph") or {"nodes": [], "edges": []})


@router.get("/assistants/{assistant_id}/schemas")
async def schemas(assistant_id: str, services: Given) -> Response:
    """Get the JSON schemas of an assistant's graph."""
    assistant = await services.catalog.get(assistant_id)
    return Json(schemas_view(assistant.name, assistant.graph.schemas))


@router.get("/assistants/{assistant_id}/subgraphs")
async def subgraphs(assistant_id: str, services: Given, recurse: bool = False) -> Response:
    """Get the JSON schemas of an assistant's subgraphs."""
    found = _subgraphs(await services.catalog.get(assistant_id))
    return Json({name: view for name, view in found.items() if recurse or "|" not in name})


@router.get("/assistants/{assistant_id}/subgraphs/{namespace}")
async def subgraph(assistant_id: str, namespace: str, services: Given, recurse: bool = False) -> Response:
    """Get the JSON schemas of one subgraph."""
    found = _subgraphs(await services.catalog.get(assistant_id))
    if namespace not in found:
        raise NotFound(f"Assistant {assistant_id} has no subgraph {namespace!r}: it has {sorted(found)}.")
    inside = f"{namespace}|"
    wanted = [name for name in found if name == namespace or (recurse and name.startswith(inside))]
    return Json({name: found[name] for name in wanted})


async def _matching(services: Services, query: AssistantCount | AssistantSearch) -> list[Assistant]:
    made_by_us = {"created_by": "system"}
    return [
        assistant
        for assistant in await services.catalog.all()
        if query.graph_id in (None, assistant.name)
        and (query.name is None or query.name.lower() in assistant.name.lower())
        and all(made_by_us.get(key) == value for key, value in (query.metadata or {}).items())
    ]


def _subgraphs(assistant: Assistant) -> dict[str, dict[str, Any]]:
    described = assistant.graph.drawing.get("subgraphs") or {}
    return {name: schemas_view(assistant.name, schemas) for name, schemas in described.items()}
