"""The simple endpoints, for frontends without an SDK."""

from collections.abc import AsyncGenerator
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from relayrun_api.auth import Caller, Principal
from relayrun_api.auth.routing import Router
from relayrun_api.chat import permissions
from relayrun_api.chat.models import Accepted, ChatBody, Conversation, Invoked
from relayrun_api.chat.service import invoke_answer, page_of_messages, spec_of_chat
from relayrun_api.chat.translator import CHAT_HEARTBEAT, CHAT_MODES, PREFACE, ChatFrames, ChatTranslator
from relayrun_api.http import examples as things
from relayrun_api.http.errors import Invalid, ThreadInterrupted
from relayrun_api.http.operation import Stream
from relayrun_api.http.responses import Json, run_headers
from relayrun_api.http.streamed import Streamed
from relayrun_api.runs import permissions as run_permissions
from relayrun_api.runs.models import Cancelling
from relayrun_api.runs.service import StartedRun, StartRun
from relayrun_api.runs.specs import spec_as_handlers_have_it
from relayrun_api.runs.streams import run_ending, since_of
from relayrun_api.runs.terms import StartTerms
from relayrun_api.services import Given, Services
from relayrun_api.streaming.follow import follow
from relayrun_api.streaming.sse import HEADERS, MEDIA_TYPE, START, LastEventId, Position, position_after
from relayrun_api.threads import permissions as thread_permissions
from relayrun_api.threads.service import ThreadAt, find_thread, refer, visible_thread
from relayrun_core import errors as core
from relayrun_core.db.journal import read_page
from relayrun_core.db.starting import Terms
from relayrun_core.db.threads import get_thread
from relayrun_core.states import CancelAction

router = Router("chat")

_STREAM = Stream(f"""\
event: start
id: 1-4294967297
data: {{"type":"start","run_id":"{things.RUN}","thread_id":"{things.NAME}","attempt":1}}

event: token
id: 1-4294967298
data: {{"type":"token","message_id":"m2","node":"answer","text":"It is "}}

event: message
id: 1-4294967301
data: {{"type":"message","message":{{"id":"m2","role":"assistant","content":"{things.TOLD}","tool_calls":[]}}}}

event: end
id: 1-4294967302
data: {{"type":"end","run_id":"{things.RUN}","thread_id":"{things.NAME}","status":"success"}}

""")

_CHAT_BODY_EXAMPLES = {
    "a message": {"message": "Where is my order?", "thread_id": "order-1"},
    "an answer": {"resume": "approved", "thread_id": things.NAME},
}


@router.post(
    "/chat",
    operation_id="chat",
    description=(
        "Events are `start`, `token`, `message`, `tool_call`, `tool_result`, `update`, `custom`, `attempt` (after a "
        "crash: the half-sent messages to drop), `interrupt`, `error` and, always last, `end`. A lost connection "
        "cancels nothing: continue at the answer's `Location`. If the thread waits at a question, send `resume`."
    ),
    permission=permissions.new_answer,
    answer=_STREAM,
    examples=_CHAT_BODY_EXAMPLES,
)
async def chat(body: ChatBody, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Send a message and stream the answer."""
    return _chat_stream(services, await _start(services, caller, body, CHAT_MODES, terms), body.thread_id)


@router.get(
    "/chat/{run_id}",
    operation_id="follow_chat",
    description=(
        "Streams the same events again, from the beginning or after the last one that you received, and then new "
        "ones. When you have received everything, it answers 204, which stops an EventSource."
    ),
    permission=thread_permissions.READ,
    answer=_STREAM,
    also={204: "You have received everything."},
)
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
        raise Invalid(
            f"{last!r} is not the id of an event of this run: send the `id` of the last event, or `-` for all."
        )
    if run.status.finished and after != START and not await read_page(services.database, run_id, after.seq):
        # Nothing is left: 204 is what stops an EventSource from coming back.
        return Response(status_code=204)
    thread = await get_thread(services.database, run.thread_id)
    called = (thread.name if thread else None) or str(run.thread_id)
    return _chat_stream(services, services.runs.join(run), called, after)


@router.post(
    "/invoke",
    operation_id="invoke",
    description="Answers when the run has ended or asks a question. Until then, it sends a newline every 5 seconds.",
    permission=permissions.new_answer,
    answer=Invoked,
    examples=_CHAT_BODY_EXAMPLES,
)
async def invoke(body: ChatBody, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Send a message and wait for the answer."""
    started = await _start(services, caller, body, ("values",), terms)
    return run_ending(
        services,
        started,
        follow_at=None,
        render=lambda ending: invoke_answer(ending, started.run_id, body.thread_id),
    )


@router.post(
    "/run-task",
    operation_id="run_task",
    description="Answers at once. The run is accepted and will finish. Follow it at the answer's `Location`.",
    permission=permissions.new_answer,
    status_code=202,
    answer=Accepted,
    examples=_CHAT_BODY_EXAMPLES,
)
async def run_task(body: ChatBody, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Send a message and do not wait."""
    started = await _start(services, caller, body, CHAT_MODES, terms)
    started.subscription.close()
    answer = Accepted("accepted", body.thread_id, started.run_id)
    headers = {**run_headers(started.thread_id, started.run_id), "Location": f"/chat/{started.run_id}"}
    return Json(answer, 202, {**headers, **started.headers})


@router.get(
    "/history/{thread_id}",
    operation_id="get_conversation",
    description="Returns the newest messages as plain text, oldest first. An unknown name is an empty conversation.",
    permission=thread_permissions.READ,
    answer=Conversation,
    refusals=(502,),
)
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
    return Json(page_of_messages(thread.sent, values, limit, before))


@router.delete(
    "/runs/{run_id}",
    operation_id="cancel_chat",
    description=(
        "The run stops at once and keeps its completed steps, or is undone with `rollback`. You can still read it."
    ),
    permission=run_permissions.cancel_run,
    status_code=202,
    answer=Cancelling,
    refusals=(409,),
)
async def cancel(
    run_id: UUID, services: Given, caller: Caller, action: CancelAction = CancelAction.INTERRUPT
) -> Response:
    """Cancel a run."""
    run = await services.runs.visible(caller, run_id)
    await services.cancels.cancel(run, action)
    answer = Cancelling(run_id=run.run_id, thread_id=str(run.thread_id))
    return Json(answer, 202, run_headers(run.thread_id, run.run_id))


async def _start(
    services: Services, principal: Principal, body: ChatBody, modes: tuple[str, ...], terms: Terms
) -> StartedRun:
    named, assistants = body.assistant_id, services.assistant_lookup
    thread = await refer(services.database, principal, body.thread_id)
    at = thread.thread_id
    assistant = await (assistants.to_run(principal, named, at) if named else assistants.default(principal, at))
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
