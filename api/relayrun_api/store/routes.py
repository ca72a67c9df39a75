"""The store: what agents remember beyond a thread, as the LangGraph Agent Server has it."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from relayrun_api.auth import Caller
from relayrun_api.auth.routing import Router
from relayrun_api.http.responses import Json
from relayrun_api.services import Given
from relayrun_api.store import permissions
from relayrun_api.store.models import (
    FoundItems,
    Item,
    ItemAt,
    ItemPut,
    ItemQuery,
    ItemSearch,
    Namespaces,
    NamespaceSearch,
)

router = Router("store")

_ITEM = {"namespace": ["users", "ann"], "key": "address"}

_YOURS = "Your id must be the first or second label of the namespace."

Agent = Annotated[
    str | None,
    Query(
        max_length=256,
        description="Whose runner to ask, where there are several agents; default: see docs/reference/store.md",
    ),
]


@router.put(
    "/store/items",
    operation_id="put_item",
    description=f"Replaces the item with the same key. {_YOURS}",
    permission=permissions.item("put", "namespace", "key", "value", "index", "ttl"),
    status_code=204,
    refusals=(403, 404, 502),
    examples={"an address": {**_ITEM, "value": {"city": "Bremen"}}},
)
async def put(body: ItemPut, services: Given, caller: Caller, agent: Agent = None) -> Response:
    """Store an item."""
    await services.store.put(caller, body, agent)
    return Response(status_code=204)


@router.get(
    "/store/items",
    operation_id="get_item",
    description=f"Separate the labels of `namespace` by dots. {_YOURS}",
    permission=permissions.get_item,
    answer=Item | None,
    refusals=(404, 502),
)
async def get(item: Annotated[ItemQuery, Query()], services: Given, caller: Caller) -> Response:
    """Get an item, or null."""
    return Json(await services.store.get(caller, item))


@router.delete(
    "/store/items",
    operation_id="delete_item",
    description=f"One that is not there is forgotten already. {_YOURS}",
    permission=permissions.item("delete", "namespace", "key"),
    status_code=204,
    refusals=(403, 404, 502),
    examples={"an address": _ITEM},
)
async def delete(body: ItemAt, services: Given, caller: Caller, agent: Agent = None) -> Response:
    """Delete an item."""
    await services.store.delete(caller, body, agent)
    return Response(status_code=204)


@router.post(
    "/store/items/search",
    operation_id="search_items",
    description=(
        "Filters by values, and searches by meaning with `query` if the agent has a vector index. Items of others are "
        "left out."
    ),
    permission=permissions.search_items,
    answer=FoundItems,
    refusals=(404, 502),
    examples={"of a city": {"namespace_prefix": ["users"], "filter": {"city": "Bremen"}}},
)
async def search(body: ItemSearch, services: Given, caller: Caller, agent: Agent = None) -> Response:
    """List items below a namespace."""
    return Json(await services.store.search(caller, body, agent))


@router.post(
    "/store/namespaces",
    operation_id="list_namespaces",
    description="Filters by the first and last labels, down to a depth.",
    permission=permissions.search_namespaces,
    answer=Namespaces,
    refusals=(404, 502),
    examples={"of users": {"prefix": ["users"], "max_depth": 2}},
)
async def namespaces(body: NamespaceSearch, services: Given, caller: Caller, agent: Agent = None) -> Response:
    """List namespaces."""
    return Json(await services.store.namespaces(caller, body, agent))
