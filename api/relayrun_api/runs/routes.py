"""Runs on threads, as the LangGraph Agent Server has them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from relayrun_api.auth import Caller, Principal, Reader
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.errors import BadRequest, NoThreadId, RunNotFound
from relayrun_api.http.listing import listed
from relayrun_api.http.operation import Stream
from relayrun_api.http.responses import Json, run_headers
from relayrun_api.runs import permissions
from relayrun_api.runs.models import BackgroundRun, Cancelling, Run, RunCreate, Values, our_statuses
from relayrun_api.runs.service import StartedRun, StartRun
from relayrun_api.runs.specs import spec_of_run
from relayrun_api.runs.streams import Action, missing_run_stream, position_now, run_ending, run_stream
from relayrun_api.runs.terms import StartTerms
from relayrun_api.services import Given, Services
from relayrun_api.streaming.follow import NO_RUN
from relayrun_api.streaming.sse import LastEventId, position_after
from relayrun_api.threads import permissions as thread_permissions
from relayrun_api.threads.service import ThreadAt, ThreadRef, visible_thread
from relayrun_core import runs as rows
from relayrun_core.db.runs import get_run, runs_found
from relayrun_core.db.starting import Terms
from relayrun_core.errors import RunFinished, ThreadNotFound
from relayrun_core.states import CancelAction

router = Router("runs")

STREAM_EXAMPLE = Stream(f"""\
event: metadata
id: 2-4294967297
data: {{"run_id":"{things.RUN}","attempt":1}}

event: updates
id: 2-4294967298
data: {{"answer":{{"messages":[{{"type":"ai","id":"m2","content":"{things.TOLD}","tool_calls":[]}}]}}}}

""")
EVENTS = (
    "The first event is `metadata`. Then come the events of the modes in `stream_mode`, and `error`. The answer ends "
    "with the run. If it is cut off, continue at its `Location`, with `Last-Event-ID`."
)
JOINED = (
    "Without `Last-Event-ID`, streams the events from now on; nothing, if the run has ended. With it, streams all "
    "events after that one; `-` is the beginning. With `stream_mode`, streams only events of these modes, and "
    "`error`. With `times`, a comment before each event says when it was written."
)
WAITS = "Answers when the run has ended or asks a question. Until then, it sends a newline every 5 seconds."


_RUN_CREATE_EXAMPLES = {
    "input": {
        **things.RUN_BODY,
        "if_not_exists": "create",
        "stream_mode": ["updates", "messages-tuple"],
        "metadata": things.METADATA,
    },
    "an answer": {"assistant_id": "agent", "command": {"resume": "approved"}},
    "a pause before a node": {**things.RUN_BODY, "if_not_exists": "create", "interrupt_before": ["answer"]},
}

_STATUSES = "Only runs with this status: pending, running, error, success, timeout or interrupted"
RunField = Literal[
    "run_id",
    "thread_id",
    "assistant_id",
    "created_at",
    "updated_at",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
    "cancel_reason",
]


async def start_run(
    services: Services,
    principal: Principal,
    body: RunCreate,
    thread: ThreadRef | None,
    terms: Terms,
    *,
    no_id: int = 400,
) -> StartedRun:
    """Accept a run that a LangGraph client asks for. `no_id`: the status for a thread's id that is none."""
    request = await requested(services, principal, body, thread)
    try:
        return await services.runs.start(principal, request, terms)
    except ThreadNotFound as error:
        if thread is None or thread.name is None:
            raise
        raise NoThreadId(thread.sent, no_id) from error


async def requested(services: Services, principal: Principal, body: RunCreate, thread: ThreadRef | None) -> StartRun:
    """The run that a LangGraph client asks for."""
    thread_id = thread.thread_id if thread else None
    assistant = await services.assistant_lookup.to_run(principal, body.assistant_id, thread_id)
    spec = spec_of_run(body, assistant, body.stream_mode)
    if thread is None and body.on_completion != "keep":
        spec = spec.model_copy(update={"on_completion": "delete"})
    if body.context and body.config and body.config.configurable:
        raise BadRequest("Send `context` or `config.configurable`, not both: `context` is the newer name.")
    later = max(body.after_seconds or 0.0, 0.0)
    # Of a batch each has its own, which the body has by now.
    mark = {} if principal.metadata is None else body.metadata or {}
    return StartRun(assistant, spec, thread, if_not_exists=body.if_not_exists, after_seconds=later, mark=mark)


async def answer_created(services: Services, caller: Principal, started: StartedRun) -> Response:
    """The answer to a run that goes on in the background."""
    started.subscription.close()
    run = await get_run(services.database, started.run_id)
    if run is None:
        raise RunNotFound(f"Run {started.run_id} was accepted and then deleted: start another.")
    # A runner may have it by now. The answer does not depend on who was quicker; a replay tells how it is now.
    run = run if started.run else run.as_accepted()
    return Json(
        Run.of(run, tracebacks=caller.admin), headers={**run_headers(run.thread_id, run.run_id), **started.headers}
    )


@router.post(
    "/threads/{thread_id}/runs",
    operation_id="create_run",
    description=(
        "Answers at once: the run is accepted and will be finished. On a busy thread `multitask_strategy` decides; "
        "with `if_not_exists: create` the thread is made."
    ),
    permission=permissions.new_run,
    answer=Run,
    examples=_RUN_CREATE_EXAMPLES,
)
async def create(thread: ThreadAt, body: BackgroundRun, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run in the background."""
    return await answer_created(services, caller, await start_run(services, caller, body, thread, terms, no_id=422))


@router.post(
    "/threads/{thread_id}/runs/stream",
    operation_id="stream_run",
    description=EVENTS,
    permission=permissions.new_run,
    answer=STREAM_EXAMPLE,
    examples=_RUN_CREATE_EXAMPLES,
)
async def stream(thread: ThreadAt, body: RunCreate, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run and stream its events."""
    started = await start_run(services, caller, body, thread, terms)
    return run_stream(services, started, on_disconnect=body.on_disconnect)


@router.post(
    "/threads/{thread_id}/runs/wait",
    operation_id="wait_for_run",
    description=WAITS,
    permission=permissions.new_run,
    answer=Values,
    examples=_RUN_CREATE_EXAMPLES,
)
async def wait(thread: ThreadAt, body: RunCreate, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Start a run and wait for its final values."""
    started = await start_run(services, caller, body, thread, terms)
    return run_ending(services, started, on_disconnect=body.on_disconnect)


@router.get(
    "/threads/{thread_id}/runs",
    operation_id="list_runs",
    description="With `select`, runs have only these members.",
    permission=permissions.runs_of_thread,
    answer=list[Run],
)
async def listing(
    thread: ThreadAt,
    services: Given,
    caller: Caller,
    reader: Reader,
    limit: Annotated[int, Query(description="The most items to return. 0 or less: none", lt=2**31)] = 10,
    offset: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    status: Annotated[str | None, Query(description=_STATUSES, max_length=64)] = None,
    select: Annotated[list[RunField] | None, Query(max_length=100)] = None,
) -> Response:
    """List a thread's runs, newest first."""
    await visible_thread(services.database, caller, thread)
    wanted = None if status is None else our_statuses(status)
    if limit <= 0 or wanted == []:
        return Json([])
    runs = runs_found(thread.thread_id, status=wanted, limit=limit, offset=offset)

    async def view(run: rows.Run) -> Run | dict[str, Any]:
        whole = Run.of(run, tracebacks=caller.admin)
        return {name: getattr(whole, name) for name in select} if select else whole

    return await listed(services.reads, reader, runs, view, headers={})


@router.get(
    "/threads/{thread_id}/runs/{run_id}",
    operation_id="get_run",
    description="Returns the run's status. If it failed, `error` has the message and the node.",
    permission=thread_permissions.READ,
    answer=Run,
)
async def get(thread: ThreadAt, run_id: UUID, services: Given, caller: Caller) -> Response:
    """Get a run."""
    return Json(Run.of(await services.runs.visible(caller, run_id, thread), tracebacks=caller.admin))


@router.get(
    "/threads/{thread_id}/runs/{run_id}/join",
    operation_id="join_run",
    description=WAITS,
    permission=permissions.join_run,
    answer=Values,
)
async def join(
    thread: ThreadAt, run_id: UUID, services: Given, caller: Caller, cancel_on_disconnect: bool = False
) -> Response:
    """Wait for a run's final values."""
    try:
        run = await services.runs.visible(caller, run_id, thread)
    except RunNotFound:
        return Json({"__error__": NO_RUN}, headers=run_headers(thread.thread_id, run_id, "join"))
    return run_ending(services, services.runs.join(run), on_disconnect="cancel" if cancel_on_disconnect else "continue")


@router.get(
    "/threads/{thread_id}/runs/{run_id}/stream",
    operation_id="join_run_stream",
    description=JOINED,
    permission=permissions.join_run,
    answer=STREAM_EXAMPLE,
)
async def join_stream(
    thread: ThreadAt,
    run_id: UUID,
    services: Given,
    caller: Caller,
    header: LastEventId = None,
    query: Annotated[str | None, Query(alias="last_event_id", max_length=128)] = None,
    stream_mode: Annotated[list[str] | None, Query()] = None,
    times: bool = False,
    cancel_on_disconnect: bool = False,
) -> Response:
    """Stream a run's events: those from now on, or all behind `Last-Event-ID`."""
    try:
        run = await services.runs.visible(caller, run_id, thread)
    except RunNotFound:
        return missing_run_stream(thread.thread_id, run_id)
    joined = services.runs.join(run)
    return run_stream(
        services,
        joined,
        modes=[mode for mode in stream_mode or () if mode] or None,
        after=position_after(header or query, run.number) or await position_now(services.database, run),
        times=times,
        on_disconnect="cancel" if cancel_on_disconnect else "continue",
    )


@router.post(
    "/threads/{thread_id}/runs/{run_id}/cancel",
    operation_id="cancel_run",
    description="The run stops and keeps its finished steps, or with `rollback` is undone and gone. 404: it has ended.",
    permission=permissions.cancel_run,
    status_code=202,
    answer=Cancelling,
    refusals=(404,),
    also={200: "The run has ended. You asked for this with `wait`."},
)
async def cancel(
    thread: ThreadAt,
    run_id: UUID,
    services: Given,
    caller: Caller,
    wait: bool = False,
    action: Action = CancelAction.INTERRUPT,
) -> Response:
    """Cancel a run."""
    try:
        run = await services.runs.visible(caller, run_id, thread)
    except RunNotFound as error:
        raise RunNotFound(f"No runs found to cancel: there is no run {run_id} on this thread.") from error
    try:
        await services.cancels.cancel(run, action)
    except RunFinished as error:
        raise RunNotFound(f"No runs found to cancel: run {run_id} has ended already.") from error
    if wait:
        return run_ending(services, services.runs.join(run), render=lambda _: b"{}")
    return Json(Cancelling(run_id=run.run_id, thread_id=thread.sent), 202, run_headers(run.thread_id, run.run_id))


@router.delete(
    "/threads/{thread_id}/runs/{run_id}",
    operation_id="delete_run",
    description="A run that has not ended is undone first, as `rollback` does; of one that has, the state stays.",
    permission=thread_permissions.thread("delete"),
    status_code=204,
)
async def delete(thread: ThreadAt, run_id: UUID, services: Given, caller: Caller) -> Response:
    """Delete a run; an unfinished run is undone first."""
    run = await services.runs.visible(caller, run_id, thread)
    await services.cancels.delete(run)
    return Response(status_code=204)
