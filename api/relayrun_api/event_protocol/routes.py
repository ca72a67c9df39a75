"""The event protocol of LangGraph's newest clients: commands to a thread, and its events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from relayrun_api.auth import Caller, Principal
from relayrun_api.auth.lasting import StillAccepted, WhileAccepted
from relayrun_api.auth.routing import Router
from relayrun_api.event_protocol import permissions
from relayrun_api.event_protocol.commands import Commands
from relayrun_api.event_protocol.events import Subscribed
from relayrun_api.event_protocol.feed import ProtocolFeed, Sent
from relayrun_api.event_protocol.models import (
    CommandAnswer,
    EventStreamRequest,
    Refusal,
    ThreadCommand,
    checked,
    refused,
)
from relayrun_api.event_protocol.seq import LARGEST_SEQ
from relayrun_api.http import examples as things
from relayrun_api.http.errors import Invalid, ThreadNotFound
from relayrun_api.http.operation import Stream
from relayrun_api.http.responses import Json
from relayrun_api.http.streamed import Streamed
from relayrun_api.runs.terms import StartTerms
from relayrun_api.services import Given, Services
from relayrun_api.streaming.sse import HEADERS, HEARTBEAT, MEDIA_TYPE, LastEventId, frame
from relayrun_api.threads import permissions as thread_permissions
from relayrun_api.threads.service import ThreadAt, ThreadRef, sees_thread
from relayrun_core.db.threads import get_thread

router = Router("event protocol")

_STREAM = Stream("""\
event: lifecycle
id: 4294967297
data: {"type":"event","seq":4294967297,"method":"lifecycle","params":{"namespace":[],"data":{"event":"running"}}}

event: values
id: 4294967298
data: {"type":"event","seq":4294967298,"method":"values","params":{"namespace":[],"data":{"messages":[]}}}

""")
_ENDLESS = "Does not end by itself. To reconnect, send the `seq` of the last event that you received as `since`."


@router.post(
    "/threads/{thread_id}/commands",
    operation_id="send_command",
    description=(
        "`run.start`, `input.respond`, `agent.getTree`, `state.get`, `state.listCheckpoints` or `state.fork`. What is "
        "wrong with a command is said in the answer, whose status is 200."
    ),
    permission=permissions.command,
    answer=CommandAnswer,
    refusals=(502,),
    examples={
        "run.start": {
            "id": 1,
            "method": "run.start",
            "params": {"assistant_id": "agent", "input": things.ASKED},
        },
        "agent.getTree": {"id": 2, "method": "agent.getTree", "params": {}},
        "state.get": {"id": 3, "method": "state.get", "params": {"keys": ["messages"]}},
        "state.listCheckpoints": {"id": 4, "method": "state.listCheckpoints", "params": {"limit": 10}},
        "state.fork": {"id": 5, "method": "state.fork", "params": {"checkpoint_id": things.CHECKPOINT}},
        "input.respond": {
            "id": 6,
            "method": "input.respond",
            "params": {"interrupt_id": things.QUESTION, "response": "approved"},
        },
    },
)
async def command(
    thread: ThreadAt, body: ThreadCommand, services: Given, caller: Caller, terms: StartTerms
) -> Response:
    """Send a command: run.start, input.respond, …."""
    try:
        done = await Commands(services, caller, thread, terms).carry_out(body)
    except Refusal as error:
        # Its clients read it in the answer, whose status only says that a command was understood.
        return Json(refused(body.id, error.code, error.message))
    return Json(done.answer(body.id), headers=done.headers)


@router.post(
    "/threads/{thread_id}/stream/events",
    operation_id="stream_events",
    description=f"Streams events of the channels and namespaces in the body. {_ENDLESS}",
    permission=thread_permissions.READ,
    answer=_STREAM,
    examples={"all of a chat": {"channels": ["values", "messages", "lifecycle"]}},
)
async def stream(
    thread: ThreadAt,
    body: EventStreamRequest,
    services: Given,
    caller: Caller,
    accepted: WhileAccepted,
    last_event_id: LastEventId = None,
) -> Response:
    """Stream a thread's events."""
    return await _streamed(services, caller, accepted, thread, _after(body.subscribed, last_event_id))


@router.get(
    "/threads/{thread_id}/stream/events",
    operation_id="get_event_stream",
    description=(
        f"{_ENDLESS} A WebSocket at the same path takes commands and subscriptions, and sends their answers and "
        "events; browsers send a token as its protocols `relayrun` and `relayrun.bearer.<token>`."
    ),
    permission=thread_permissions.READ,
    answer=_STREAM,
)
async def get_stream(
    thread: ThreadAt,
    services: Given,
    caller: Caller,
    accepted: WhileAccepted,
    channels: Annotated[
        list[str], Query(description="values, messages, …. Repeat it for several, or separate them by commas")
    ],
    namespaces: Annotated[list[str] | None, Query(description="Paths as in `research:1|inner:2`")] = None,
    depth: int | None = None,
    since: int | None = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Stream a thread's events, for an EventSource."""
    asked = {
        "channels": [name for entry in channels for name in entry.split(",") if name],
        "namespaces": None if namespaces is None else [path.split("|") if path else [] for path in namespaces],
        "depth": depth,
        "since": since,
    }
    try:
        request = checked(EventStreamRequest, asked)
    except Refusal as error:
        raise Invalid(error.message) from error
    return await _streamed(services, caller, accepted, thread, _after(request.subscribed, last_event_id))


async def require_visible(services: Services, caller: Principal, thread: ThreadRef) -> None:
    """Raise ThreadNotFound for somebody else's thread. One that nobody has may come to be: its first run makes it."""
    found = await get_thread(services.database, thread.thread_id)
    if found is not None and not sees_thread(caller, found):
        raise ThreadNotFound(f"Thread with ID {thread.sent} not found: start a run on a thread of your own.")


async def _streamed(
    services: Services, caller: Principal, accepted: StillAccepted, thread: ThreadRef, subscribed: Subscribed
) -> Response:
    await require_visible(services, caller, thread)
    feed = ProtocolFeed(services.database, services.hub, caller, thread.thread_id, subscribed)
    see = partial(require_visible, services, thread=thread)

    async def chunks() -> AsyncGenerator[bytes]:
        with services.metrics.sse_connections.track_inprogress():
            async with aclosing(accepted.guard(feed.events(), see)) as pages:
                async for page in pages:
                    yield b"".join(map(_frame, page or ()))

    headers = {**HEADERS, "Content-Location": f"/threads/{thread.thread_id}/stream/events"}
    return Streamed(chunks(), media_type=MEDIA_TYPE, headers=headers, heartbeat=HEARTBEAT)


def _frame(sent: Sent) -> bytes:
    return frame(sent.method, sent.data, str(sent.seq))


def _after(subscribed: Subscribed, last_event_id: str | None) -> Subscribed:
    """With what an EventSource that comes back says it has; the body's word counts where there is one."""
    if last_event_id is None or subscribed.since is not None:
        return subscribed
    if not (last_event_id.isascii() and last_event_id.isdigit()) or int(last_event_id) > LARGEST_SEQ:
        raise Invalid(f"{last_event_id!r} is not the `id` of an event of this stream: leave it out.")
    return Subscribed(subscribed.wanted, int(last_event_id))
