"""Threads, as the LangGraph Agent Server has them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from functools import partial
from typing import Annotated, Any, get_args
from urllib.parse import urlencode
from uuid import UUID, uuid4

from fastapi import Header, Query
from starlette.responses import Response

from relayrun_api.auth import Caller, Principal, Reader
from relayrun_api.auth.lasting import WhileAccepted
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.errors import Invalid, NoThreadId
from relayrun_api.http.listing import listed
from relayrun_api.http.operation import Stream
from relayrun_api.http.responses import Json
from relayrun_api.http.streamed import Streamed
from relayrun_api.services import Given, Services
from relayrun_api.streaming.sse import HEADERS, HEARTBEAT, MEDIA_TYPE, LastEventId
from relayrun_api.threads import permissions
from relayrun_api.threads.extract import Extract
from relayrun_api.threads.models import (
    Pruned,
    Storage,
    Thread,
    ThreadCount,
    ThreadCreate,
    ThreadPatch,
    ThreadPrune,
    ThreadSearch,
    Ttl,
    thread_answer,
)
from relayrun_api.threads.service import (
    ThreadAt,
    find_thread,
    forget_thread,
    make_thread,
    refer,
    sees_thread,
    thread_ids,
    visible_thread,
)
from relayrun_api.threads.stream import ThreadFilter, ThreadFollower, ThreadStreamMode, place_after
from relayrun_core.db import rows
from relayrun_core.db.retention import prune_threads
from relayrun_core.db.thread_copy import copy_thread
from relayrun_core.db.thread_search import ThreadPage, ThreadQuery, Values, count_threads, threads_found
from relayrun_core.db.thread_storage import thread_storage
from relayrun_core.db.threads import NewThread, get_thread, patch_thread
from relayrun_core.errors import ThreadNotFound
from relayrun_core.ids import event_id

router = Router("threads")

_STREAM = Stream(f"""\
event: metadata
id: 2-4294967297
data: {{"run_id":"{things.RUN}","attempt":1}}

event: updates
id: 2-4294967298
data: {{"answer":{{"messages":[{{"type":"ai","id":"m2","content":"{things.TOLD}"}}]}}}}

""")


@router.post(
    "/threads",
    operation_id="create_thread",
    description="The id may be a UUID or a name that you choose. `supersteps` create the thread's first state.",
    permission=permissions.new_thread,
    answer=Thread,
    refusals=(409, 502),
    examples={
        "a thread": {"thread_id": things.NAME, "metadata": things.METADATA, "if_exists": "do_nothing"},
        "with a state": {
            "graph_id": "agent",
            "supersteps": [{"updates": [{"as_node": "__input__", "values": things.ASKED}]}],
            "ttl": {"ttl": 43200, "strategy": "delete"},
        },
    },
)
async def create(body: ThreadCreate, services: Given, caller: Caller) -> Response:
    """Create a thread."""
    ref = await refer(services.database, caller, body.thread_id or str(uuid4()))
    metadata, ttl = body.all_metadata, body.ttl.given if body.ttl else None
    # A runner may have made it before it was lost with its answer, and a name of our own can be nobody else's.
    if_exists = body.if_exists if body.thread_id else "do_nothing"
    if body.supersteps and await get_thread(services.database, ref.thread_id) is None:
        new = NewThread(ref.thread_id, caller.owner, ref.name, metadata, ttl)
        if await services.states.create(new, [step.model_dump(exclude_unset=True) for step in body.supersteps]):
            if_exists = "do_nothing"
    made = await make_thread(services.database, caller, ref, metadata=metadata, if_exists=if_exists, ttl=ttl)
    return Json(thread_answer(made))


@router.post(
    "/threads/search",
    operation_id="search_threads",
    description=(
        "Finds your threads by status, metadata and values. `X-Pagination-Next` is the offset of the next page. With "
        "`select`, threads have only these members."
    ),
    permission=permissions.search_threads,
    answer=list[Thread],
    examples={
        "that wait for an answer": {"status": "interrupted", "limit": 20},
        "of a customer": {"metadata": things.METADATA, "sort_by": "created_at", "select": ["thread_id", "values"]},
    },
)
async def search(body: ThreadSearch, services: Given, caller: Caller, reader: Reader) -> Response:
    """List threads, last used first."""
    page = ThreadPage(body.limit, body.offset, body.sort_by or "updated_at", body.sort_order or "desc")
    ids = None if body.ids is None else await thread_ids(services.database, caller, body.ids)
    extract = Extract(body.extract) if body.extract else None

    async def view(thread: rows.Thread) -> Mapping[str, Any]:
        return _selected(thread_answer(thread), body.select, extract)

    values: Values = "read" if extract else "none" if body.select and "values" not in body.select else "json"
    threads = threads_found(_query(caller, body, ids), page, values)
    return await listed(services.reads, reader, threads, view)


@router.post(
    "/threads/count",
    operation_id="count_threads",
    description="Returns the number of results of the same search.",
    permission=permissions.search_threads,
    answer=int,
    example=7,
    examples={"busy ones": {"status": "busy"}},
)
async def count(body: ThreadCount, services: Given, caller: Caller, reader: Reader) -> Response:
    """Count threads."""
    async with services.reads.by(reader) as database:
        return Json(await count_threads(database, _query(caller, body)))


@router.post(
    "/threads/prune",
    operation_id="prune_threads",
    description="Skips threads with an unfinished run, and threads of others.",
    permission=permissions.prune_threads,
    answer=Pruned,
    examples={"down to the newest checkpoint": {"thread_ids": [things.NAME], "strategy": "keep_latest"}},
)
async def prune(body: ThreadPrune, services: Given, caller: Caller) -> Response:
    """Delete threads, or all of their checkpoints except the newest."""
    ids = await thread_ids(services.database, caller, body.thread_ids)
    if body.strategy == "delete":
        return Json(Pruned(sum([await _forgotten(services, caller, thread_id) for thread_id in ids])))
    scope = caller.scope("threads")
    pruned = await prune_threads(
        services.database, ids, body.strategy, owner=scope.owner, any_owner=scope.any_owner, visible=scope.visible
    )
    return Json(Pruned(pruned))


@router.get(
    "/threads/{thread_id}",
    operation_id="get_thread",
    description="Returns the thread with the values and questions of its last finished run.",
    permission=permissions.READ,
    answer=Thread,
)
async def get(
    thread: ThreadAt,
    services: Given,
    caller: Caller,
    include: Annotated[str, Query(description="`ttl`: also return how long the thread is kept", max_length=256)] = "",
) -> Response:
    """Get a thread."""
    found = await visible_thread(services.database, caller, thread)
    view = thread_answer(found)
    if "ttl" in (part.strip() for part in include.split(",")):
        view["ttl"] = Ttl.of(found, services.settings.thread_ttl)
    return Json(view)


@router.patch(
    "/threads/{thread_id}",
    operation_id="update_thread",
    description="Keys that are not sent stay as they are.",
    permission=permissions.thread("update", "metadata", "ttl"),
    answer=Thread,
    also={204: "Done. You asked for this with `Prefer: return=minimal`."},
    examples={"a key": {"metadata": {"priority": "high"}}, "thirty days": {"ttl": {"ttl": 43200}}},
)
async def patch(
    thread: ThreadAt,
    body: ThreadPatch,
    services: Given,
    caller: Caller,
    prefer: Annotated[str | None, Header()] = None,
) -> Response:
    """Merge keys into a thread's metadata, or set its time to live."""
    await visible_thread(services.database, caller, thread)
    ttl = body.ttl.given if body.ttl else None
    patched = await patch_thread(services.database, thread.thread_id, body.metadata, ttl)
    if prefer == "return=minimal":
        return Response(status_code=204)
    return Json(thread_answer(patched))


@router.delete(
    "/threads/{thread_id}",
    operation_id="delete_thread",
    description="Deletes its runs and checkpoints too.",
    permission=permissions.thread("delete"),
    status_code=204,
    refusals=(409,),
)
async def delete(thread: ThreadAt, services: Given, caller: Caller) -> Response:
    """Delete a thread; its unfinished runs are cancelled."""
    await visible_thread(services.database, caller, thread)
    await forget_thread(services.database, services.dispatcher, thread.thread_id)
    return Response(status_code=204)


@router.post(
    "/threads/{thread_id}/copy",
    operation_id="copy_thread",
    description="The copy has a new id and the same owner.",
    permission=permissions.copy_thread,
    answer=Thread,
)
async def copy(thread: ThreadAt, services: Given, caller: Caller) -> Response:
    """Copy a thread with all of its states, without its runs."""
    if thread.name is not None and await find_thread(services.database, caller, thread) is None:
        raise NoThreadId(thread.sent, 400)
    await visible_thread(services.database, caller, thread)
    return Json(thread_answer(await copy_thread(services.database, thread.thread_id, uuid4())))


@router.get(
    "/threads/{thread_id}/storage",
    operation_id="get_thread_storage",
    description="Returns the size of its checkpoints and of its runs' events. Measures a part of a very large thread.",
    permission=permissions.READ,
    answer=Storage,
)
async def storage(thread: ThreadAt, services: Given, caller: Caller, reader: Reader) -> Response:
    """Measure a thread."""
    await visible_thread(services.database, caller, thread)
    async with services.reads.by(reader) as database:
        return Json(await thread_storage(database, thread.thread_id))


@router.get(
    "/threads/{thread_id}/stream",
    operation_id="stream_thread",
    description=(
        "Does not end by itself. `run_modes` streams what the runs stream, and `metadata` when one is done; "
        "`lifecycle` only their starts and ends; `state_update` edits of the state. To reconnect, send "
        "`Last-Event-ID`."
    ),
    permission=permissions.READ,
    answer=_STREAM,
)
async def join_stream(
    thread: ThreadAt,
    services: Given,
    caller: Caller,
    accepted: WhileAccepted,
    header: LastEventId = None,
    query: Annotated[str | None, Query(alias="last_event_id", max_length=128)] = None,
    stream_mode: Annotated[list[str] | None, Query(description="run_modes, lifecycle, state_update")] = None,
    stream_modes: Annotated[list[str] | None, Query(description="The same as `thread_id`")] = None,
) -> Response:
    """Stream the events of all runs of a thread, including future runs."""
    modes = _stream_modes([*(stream_mode or ()), *(stream_modes or ())])
    await visible_thread(services.database, caller, thread)
    after = await place_after(services.database, thread.thread_id, header or query)
    see = partial(visible_thread, services.database, ref=thread)
    follower = ThreadFollower(services.database, services.hub, thread.thread_id, after, ThreadFilter(modes))

    async def chunks() -> AsyncGenerator[bytes]:
        with services.metrics.sse_connections.track_inprogress():
            async with aclosing(accepted.guard(follower.chunks(), see)) as found:
                async for chunk in found:
                    yield chunk

    # Where a client that lost its connection comes back, also one that has not had an event yet.
    again = urlencode({"stream_mode": ",".join(modes), "last_event_id": event_id(after.number, after.seq)})
    headers = {**HEADERS, "Location": f"/threads/{thread.thread_id}/stream?{again}"}
    return Streamed(chunks(), media_type=MEDIA_TYPE, headers=headers, heartbeat=HEARTBEAT)


async def _forgotten(services: Services, caller: Principal, thread_id: UUID) -> bool:
    thread = await get_thread(services.database, thread_id)
    if thread is None or not sees_thread(caller, thread):
        return False
    with suppress(ThreadNotFound):
        await forget_thread(services.database, services.dispatcher, thread_id)
        return True
    return False


def _stream_modes(given: list[str]) -> list[ThreadStreamMode]:
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    modes = [mode for mode in get_args(ThreadStreamMode) if mode in names]
    if unknown := set(names).difference(modes):
        raise Invalid(
            f"Invalid stream mode: {min(unknown)}. Those of threads are {', '.join(get_args(ThreadStreamMode))}."
        )
    return modes or ["run_modes"]


def _query(caller: Principal, body: ThreadCount, ids: list[UUID] | None = None) -> ThreadQuery:
    scope = caller.scope("threads")
    return ThreadQuery(
        owner=scope.owner,
        any_owner=scope.any_owner,
        visible=scope.visible,
        status=body.status,
        metadata=body.metadata,
        values=body.values,
        ids=ids,
    )


def _selected(view: Thread, fields: list[Any] | None, extract: Extract | None) -> Mapping[str, Any]:
    chosen: Mapping[str, Any] = view if not fields else {name: view.get(name) for name in fields}
    return chosen if extract is None else {**chosen, "extracted": extract.of(view)}
