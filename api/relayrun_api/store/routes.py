"""The store: what agents remember beyond a thread, as the LangGraph Agent Server has it."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from relayrun_api.auth import Caller
from relayrun_api.http.answers import Json
from relayrun_api.runs.streams import new_router
from relayrun_api.services import Given
from relayrun_api.store.models import ItemAt, ItemPut, ItemQuery, ItemSearch, NamespaceSearch

router = new_router("store")

Agent = Annotated[
    str | None,
    Query(
        max_length=256, description="Whose runner to ask, where there are several agents; default: see docs/store.md"
    ),
]


@router.put("/store/items", status_code=204)
async def put(body: ItemPut, services: Given, caller: Caller, agent: Agent = None) -> Response:
    """Keep an item."""
    await services.store.put(caller, body, agent)
    return Response(status_code=204)


@router.get("/store/items")
async def get(item: Annotated[ItemQuery, Query()], services: Given, caller: Caller) -> Response:
    """Get an item, or null."""
    return Json(await services.store.get(caller, item))


@router.delete("/store/items", status_code=204)
async def delete(body: ItemAt, services: Given, caller: Caller, agent: Agent = None) -> Response:
    """Forget an item."""
    await services.store.delete(caller, body, agent)
    return Response(status_code=204)


@router.post("/store/items/search")
async def search(body: ItemSearch, services: Given, caller: Caller, agent: Agent = None) -> Response:
    """List items below a namespace."""
    return Json(await services.store.search(caller, body, agent))


@router.post("/store/namespaces")
async def namespaces(body: NamespaceSearch, services: Given, caller: Caller, agent: Agent = None) -> Response:
    """List namespaces."""
    return Json(await services.store.namespaces(caller, body, agent))
