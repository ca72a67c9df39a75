"""Threads, as the LangGraph Agent Server has them."""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import Header
from starlette.responses import Response

from relayrun_api.answers import Json
from relayrun_api.auth import Caller
from relayrun_api.models.threads import ThreadCreate, ThreadPatch, ThreadSearch
from relayrun_api.routes.parts import ThreadAt, new_router
from relayrun_api.services.container import Given
from relayrun_api.services.threads import make_thread, refer, visible_thread
from relayrun_api.services.views import thread_view
from relayrun_core.ids import thread_uuid
from relayrun_core.store.threads import delete_thread, patch_thread_metadata, search_threads

router = new_router("threads")


@router.post("/threads")
async def create(body: ThreadCreate, services: Given, caller: Caller) -> Response:
    """Create a thread."""
    ref = refer(caller, body.thread_id or str(uuid4()))
    made = await make_thread(services.database, caller, ref, metadata=body.metadata, if_exists=body.if_exists)
    return Json(thread_view(made))


@router.post("/threads/search")
async def search(body: ThreadSearch, services: Given, caller: Caller) -> Response:
    """List threads, last used first."""
    threads = await search_threads(
        services.database,
        owner=caller.owner,
        any_owner=caller.admin,
        status=body.status,
        metadata=body.metadata,
        values=body.values,
        ids=None if body.ids is None else [thread_uuid(caller.owner, name) for name in body.ids],
        limit=body.limit,
        offset=body.offset,
    )
    headers = {"X-Pagination-Next": str(body.offset + body.limit)} if len(threads) == body.limit else {}
    return Json([_selected(thread_view(thread), body.select) for thread in threads], headers=headers)


@router.get("/threads/{thread_id}")
async def get(thread: ThreadAt, services: Given, caller: Caller) -> Response:
    """Get a thread."""
    return Json(thread_view(await visible_thread(services.database, caller, thread)))


@router.patch("/threads/{thread_id}")
async def patch(
    thread: ThreadAt,
    body: ThreadPatch,
    services: Given,
    caller: Caller,
    prefer: Annotated[str | None, Header()] = None,
) -> Response:
    """Merge keys into a thread's metadata."""
    await visible_thread(services.database, caller, thread)
    patched = await patch_thread_metadata(services.database, thread.thread_id, body.metadata)
    if prefer == "return=minimal":
        return Response(status_code=204)
    return Json(thread_view(patched))


@router.delete("/threads/{thread_id}", status_code=204)
async def delete(thread: ThreadAt, services: Given, caller: Caller) -> Response:
    """Forget a thread, its runs and its checkpoints."""
    await visible_thread(services.database, caller, thread)
    await delete_thread(services.database, thread.thread_id)
    return Response(status_code=204)


def _selected(view: dict[str, Any], fields: list[Any] | None) -> dict[str, Any]:
    return view if not fields else {name: view.get(name) for name in fields}
