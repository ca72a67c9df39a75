"""The simple endpoints, for frontends without an SDK."""

from collections.abc import AsyncGenerator
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from relayrun_api.auth import Caller, Principal
from relayrun_api.chat.conversation import invoke_answer, page_of_messages
from relayrun_api.chat.frames import CHAT_HEARTBEAT, PREFACE, ChatFrames
from relayrun_api.chat.models import ChatBody
from relayrun_api.chat.translator import CHAT_MODES, ChatTranslator
from relayrun_api.http.answers import Json, run_headers
from relayrun_api.http.errors import Invalid, ThreadInterrupted
from relayrun_api.http.streamed import Streamed
from relayrun_api.runs.service import StartedRun, StartRun
from relayrun_api.runs.specs import spec_as_handlers_have_it, spec_of_chat
from relayrun_api.runs.streams import LastEventId, ThreadAt, new_router, run_ending, since_of
from relayrun_api.runs.terms import StartTerms
from relayrun_api.services import Given, Services
from relayrun_api.streaming.follow import follow
from relayrun_api.streaming.sse import HEADERS, MEDIA_TYPE, START, Position, position_after
from relayrun_api.threads.service import find_thread, refer, visible_thread
from relayrun_core import errors as core
from relayrun_core.db.journal import read_page
from relayrun_core.db.starting import Terms
from relayrun_core.db.threads import get_thread
from relayrun_core.states import CancelAction

router = new_router("chat")


@router.post("/chat")
async def chat(body: ChatBody, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Send a message and stream the answer."""
    return _chat_stream(services, await _start(services, caller, body, CHAT_MODES, terms), body.thread_id)


@router.get("/chat/{run_id}")
async def replay(
    run_id: UUID,
    services: Given,
    caller: Caller,
    header: LastEventId = None,
    query: Annotated[str | None, Query(alias="last_event_id", max_length=128)] = None,
) -> Response:
    """Replay and follow an answer."""
    run = await services.runs.visible(caller, run_id)
    last = header or query or "-"
    after = position_after(last, run.number)
    if after is None:
        raise Invalid(f"{last!r} is no event's id in this run: send the `id` of the last event, or `-` for all.")
    if run.status.finished and after != START and not await read_page(services.database, run_id, after.seq):
        # Nothing is left: 204 is what stops an EventSource from coming back.
        return Response(status_code=204)
    thread = await get_thread(services.database, run.thread_id)
    called = (thread.name if thread else None) or str(run.thread_id)
    return _chat_stream(services, services.runs.join(run), called, after)


@router.post("/invoke")
async def invoke(body: ChatBody, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Send a message and wait for the answer."""
    started = await _start(services, caller, body, ("values",), terms)
    run_id = str(started.run_id)
    return run_ending(
        services,
        started,
        follow_at=None,
        render=lambda ending: invoke_answer(ending, run_id, body.thread_id),
    )


@router.post("/run-task", status_code=202)
async def run_task(body: ChatBody, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Send a message and do not wait."""
    started = await _start(services, caller, body, CHAT_MODES, terms)
    started.subscription.close()
    answer = {"status": "accepted", "thread_id": body.thread_id, "run_id": started.run_id}
    headers = {**run_headers(started.thread_id, started.run_id), "Location": f"/chat/{started.run_id}"}
    return Json(answer, 202, {**headers, **started.headers})


@router.get("/history/{thread_id}")
async def history(
    thread: ThreadAt,
    services: Given,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[str | None, Query(max_length=256)] = None,
) -> Response:
    """List a conversation's messages."""
    # A name never used is an empty conversation; an id is not found, as everywhere, also when it is somebody else's.
    find = visible_thread if thread.name is None else find_thread
    found = await find(services.database, caller, thread)
    values = await services.states.output(found) if found else None
    return Json({"thread_id": thread.sent, **page_of_messages(values, limit, before)})


@router.delete("/runs/{run_id}", status_code=202)
async def cancel(
    run_id: UUID, services: Given, caller: Caller, action: CancelAction = CancelAction.INTERRUPT
) -> Response:
    """Cancel a run."""
    run = await services.runs.visible(caller, run_id)
    await services.cancels.cancel(run, action)
    answer = {"run_id": run.run_id, "thread_id": run.thread_id}
    return Json(answer, 202, run_headers(run.thread_id, run.run_id))


async def _start(
    services: Services, principal: Principal, body: ChatBody, modes: tuple[str, ...], terms: Terms
) -> StartedRun:
    named, assistants = body.assistant_id, services.assistant_lookup
    assistant = await (assistants.to_run(principal, named) if named else assistants.default(principal))
    thread = await refer(services.database, principal, body.thread_id)
    answers = body.message is None
    request = StartRun(
        assistant,
        spec_as_handlers_have_it(spec_of_chat(body, assistant, modes), principal.kwargs),
        thread,
        if_not_exists="reject" if answers else "create",
        require_not_interrupted=not answers,
        mark=principal.metadata or {},
    )
    try:
        return await services.runs.start(principal, request, terms)
    except core.ThreadInterrupted as error:
        waiting = await find_thread(services.database, principal, thread)
        interrupts = [{"id": entry.id, "value": entry.value} for entry in waiting.interrupts] if waiting else []
        detail = f"Thread {body.thread_id} waits for an answer: send `resume` in place of `message`."
        raise ThreadInterrupted(detail, interrupts=interrupts) from error


def _chat_stream(services: Services, started: StartedRun, called: str, after: Position = START) -> Response:
    async def chunks() -> AsyncGenerator[bytes]:
        yield PREFACE
        translator = ChatTranslator(str(started.run_id), called)
        frames = ChatFrames(translator, after)
        with services.metrics.sse_connections.track_inprogress():
            async for page in follow(services.database, started.subscription, since=since_of(started.run)):
                if page is not None:
                    yield frames.page(page)

    headers = {
        **HEADERS,
        **run_headers(started.thread_id, started.run_id),
        "Location": f"/chat/{started.run_id}",
        **started.headers,
    }
    return Streamed(chunks(), media_type=MEDIA_TYPE, headers=headers, heartbeat=CHAT_HEARTBEAT)
