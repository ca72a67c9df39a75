"""Threads' states and histories."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from relayrun_api.auth import Caller
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.models import Name
from relayrun_api.http.responses import Json
from relayrun_api.http.streamed import Streamed
from relayrun_api.runners.transport import RunnerReading
from relayrun_api.services import Given
from relayrun_api.threads import permissions
from relayrun_api.threads.service import ThreadAt, visible_thread
from relayrun_api.threads.state_models import HistoryQuery, StateAt, StateEdited, StateUpdate, ThreadState
from relayrun_api.threads.states import selected

Select = Annotated[
    list[Name] | None,
    Query(description="The members to return. `values.<key>` returns one of the values", max_length=100),
]
router = Router("thread state")

_WITHOUT_RUNNER = (
    "While a run is under way and no runner is up it is the state of the last finish, marked "
    "`metadata.source: last_finish`."
)


@router.get(
    "/threads/{thread_id}/state",
    operation_id="get_thread_state",
    description=f"Returns its values, its next steps, and its questions. {_WITHOUT_RUNNER}",
    permission=permissions.READ,
    answer=ThreadState,
    refusals=(502,),
)
async def state(
    thread: ThreadAt, services: Given, caller: Caller, subgraphs: bool = False, select: Select = None
) -> Response:
    """Get a thread's newest state."""
    found = await visible_thread(services.database, caller, thread)
    return Json(selected(await services.states.state(found, checkpoint={}, subgraphs=subgraphs), select))


@router.get(
    "/threads/{thread_id}/state/{checkpoint_id}",
    operation_id="get_thread_state_at",
    description="A checkpoint's id stands in the thread's history.",
    permission=permissions.READ,
    answer=ThreadState,
    refusals=(502,),
)
async def state_at(
    thread: ThreadAt,
    checkpoint_id: str,
    services: Given,
    caller: Caller,
    subgraphs: bool = False,
    select: Select = None,
) -> Response:
    """Get a thread's state at a checkpoint."""
    found = await visible_thread(services.database, caller, thread)
    checkpoint = {"checkpoint_id": checkpoint_id}
    return Json(selected(await services.states.state(found, checkpoint=checkpoint, subgraphs=subgraphs), select))


@router.post(
    "/threads/{thread_id}/state/checkpoint",
    operation_id="get_thread_state_at_checkpoint",
    description="Send the whole checkpoint in the body. With `checkpoint_ns`, the state is that of a subgraph.",
    permission=permissions.READ,
    answer=ThreadState,
    refusals=(502,),
    examples={"a checkpoint": {"checkpoint": {"checkpoint_ns": "", "checkpoint_id": things.CHECKPOINT}}},
)
async def state_at_checkpoint(thread: ThreadAt, body: StateAt, services: Given, caller: Caller) -> Response:
    """Get a thread's state at a checkpoint."""
    found = await visible_thread(services.database, caller, thread)
    found_state = await services.states.state(found, checkpoint=body.checkpoint, subgraphs=body.subgraphs)
    return Json(selected(found_state, body.select))


@router.post(
    "/threads/{thread_id}/state",
    operation_id="update_thread_state",
    description=(
        "Writes the state as if the node `as_node` had returned `values`. The graph continues after that node. 409 "
        "while the thread has an unfinished run."
    ),
    permission=permissions.thread("update"),
    answer=StateEdited,
    refusals=(409, 502),
    examples={
        "a message": {
            "values": {"messages": [{"role": "user", "content": "It is order 4711."}]},
            "as_node": "answer",
        }
    },
)
async def update_state(thread: ThreadAt, body: StateUpdate, services: Given, caller: Caller) -> Response:
    """Edit a thread's state."""
    found = await visible_thread(services.database, caller, thread)
    return Json(await services.states.update(found, body.model_dump(exclude_unset=True)))


@router.get(
    "/threads/{thread_id}/history",
    operation_id="get_thread_history",
    description="Returns each step of the thread's runs. For the next page, send the last checkpoint's id as `before`.",
    permission=permissions.READ,
    answer=list[ThreadState],
    refusals=(502,),
)
async def history(
    thread: ThreadAt,
    services: Given,
    caller: Caller,
    limit: Annotated[int, Query(description="The most items to return. 0 or less: none", lt=2**31)] = 1,
    before: str | None = None,
) -> Response:
    """List a thread's states, newest first."""
    found = await visible_thread(services.database, caller, thread)
    if limit <= 0:
        return Json([])
    query = {"limit": limit} | ({"before": before} if before else {})
    return _told(await services.states.history(found, query))


@router.post(
    "/threads/{thread_id}/history",
    operation_id="search_thread_history",
    description="Like the GET, and can also filter by the metadata of checkpoints.",
    permission=permissions.READ,
    answer=list[ThreadState],
    refusals=(502,),
    examples={"the newest": {"limit": 3}, "of a run": {"metadata": {"run_id": things.RUN}}},
)
async def search_history(thread: ThreadAt, body: HistoryQuery, services: Given, caller: Caller) -> Response:
    """List a thread's states, newest first."""
    found = await visible_thread(services.database, caller, thread)
    return _told(await services.states.history(found, body.model_dump(exclude_none=True)))


def _told(history: RunnerReading | bytes) -> Response:
    if isinstance(history, bytes):
        return Json(history)
    return Streamed(history, media_type="application/json", headers={})
