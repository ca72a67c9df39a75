"""Assistants, as the LangGraph Agent Server has them. Every route takes a graph's name too, for its default one."""

from typing import Annotated, Any

from fastapi import Depends, Query
from starlette.responses import Response

from relayrun_api.assistants.lookup import Assistant
from relayrun_api.assistants.models import (
    AssistantCount,
    AssistantCreate,
    AssistantPatch,
    AssistantSearch,
    LatestVersion,
    VersionSearch,
)
from relayrun_api.auth import Caller
from relayrun_api.http.answers import Json
from relayrun_api.http.errors import Invalid
from relayrun_api.http.listing import Reader, listed
from relayrun_api.runs.streams import new_router
from relayrun_api.runs.views import assistant_view
from relayrun_api.services import Given
from relayrun_api.threads.deletion import forget_threads
from relayrun_core.db.assistants import AssistantRow

router = new_router("assistants")

_DEEPEST_XRAY = 1000


async def _assistant(assistant_id: str, services: Given, caller: Caller) -> Assistant:
    return await services.assistant_lookup.get(caller, assistant_id)


AssistantAt = Annotated[Assistant, Depends(_assistant)]


async def _xray(xray: Annotated[str, Query(max_length=8, description="true, or how deep")] = "false") -> bool | int:
    if xray.lower() in ("true", "false"):
        return xray.lower() == "true"
    if xray.isascii() and xray.isdigit() and 0 < int(xray) <= _DEEPEST_XRAY:
        return int(xray)
    raise Invalid(f"`xray` must be true, false or a number from 1 to {_DEEPEST_XRAY}: send one of these.")


@router.post("/assistants")
async def create(body: AssistantCreate, services: Given, caller: Caller) -> Response:
    """Create an assistant."""
    return Json(assistant_view(await services.assistants.create(caller, body)))


@router.post("/assistants/search")
async def search(body: AssistantSearch, services: Given, caller: Caller, reader: Reader) -> Response:
    """List assistants."""
    async with services.reads.by(reader) as database:
        found, total = await services.assistants.search(database, caller, body)
    headers = {"X-Pagination-Total": str(total)}
    if body.offset + body.limit < total:
        headers["X-Pagination-Next"] = str(body.offset + body.limit)

    async def view(row: AssistantRow) -> dict[str, Any]:
        return _selected(await services.assistants.view(row), body.select)

    return await listed(services.reads, reader, found, view, headers=headers)


@router.post("/assistants/count")
async def count(body: AssistantCount, services: Given, caller: Caller, reader: Reader) -> Response:
    """Count assistants."""
    async with services.reads.by(reader) as database:
        return Json(await services.assistants.count(database, caller, body))


@router.get("/assistants/{assistant_id}")
async def get(assistant: AssistantAt) -> Response:
    """Get an assistant."""
    return Json(assistant_view(assistant))


@router.patch("/assistants/{assistant_id}")
async def patch(assistant_id: str, body: AssistantPatch, services: Given, caller: Caller) -> Response:
    """Change an assistant: make its next version."""
    return Json(assistant_view(await services.assistants.update(caller, assistant_id, body)))


@router.delete("/assistants/{assistant_id}", status_code=204)
async def delete(assistant_id: str, services: Given, caller: Caller, delete_threads: bool = False) -> Response:
    """Forget an assistant, and the threads that it was used on if that is asked for."""
    assistant = await services.assistants.to_delete(caller, assistant_id)
    if delete_threads:
        await forget_threads(services.database, services.dispatcher, assistant, caller.scope("threads"))
    await services.assistants.delete(assistant)
    return Response(status_code=204)


@router.post("/assistants/{assistant_id}/versions")
async def versions(assistant_id: str, body: VersionSearch, services: Given, caller: Caller, reader: Reader) -> Response:
    """List an assistant's versions, newest first."""
    found = await services.assistants.versions(
        caller, assistant_id, metadata=body.metadata, limit=body.limit, offset=body.offset
    )
    return await listed(services.reads, reader, found, services.assistants.view_of_version, headers={})


@router.post("/assistants/{assistant_id}/latest")
async def set_latest(assistant_id: str, body: LatestVersion, services: Given, caller: Caller) -> Response:
    """Use another version of an assistant."""
    return Json(assistant_view(await services.assistants.use_version(caller, assistant_id, body.version)))


@router.get("/assistants/{assistant_id}/graph")
async def graph(assistant: AssistantAt, services: Given, xray: Annotated[bool | int, Depends(_xray)]) -> Response:
    """Get an assistant's graph: its nodes and edges."""
    return Json(await services.drawings.drawing(assistant, xray))


@router.get("/assistants/{assistant_id}/schemas")
async def schemas(assistant: AssistantAt, services: Given) -> Response:
    """Get the JSON schemas of an assistant's graph."""
    return Json(await services.drawings.schemas(assistant))


@router.get("/assistants/{assistant_id}/subgraphs")
async def subgraphs(assistant: AssistantAt, services: Given, recurse: bool = False) -> Response:
    """Get the JSON schemas of an assistant's subgraphs."""
    return Json(await services.drawings.subgraphs(assistant, None, recurse=recurse))


@router.get("/assistants/{assistant_id}/subgraphs/{namespace}")
async def subgraph(assistant: AssistantAt, namespace: str, services: Given, recurse: bool = False) -> Response:
    """Get the JSON schemas of one subgraph."""
    return Json(await services.drawings.subgraphs(assistant, namespace, recurse=recurse))


def _selected(view: dict[str, Any], fields: list[Any] | None) -> dict[str, Any]:
    return view if not fields else {name: value for name, value in view.items() if name in fields}
