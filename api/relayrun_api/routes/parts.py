"""What several routes share: the router class, path parameters, and streams as answers."""

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path
from starlette.responses import Response

from relayrun_api.answers import Json, run_headers
from relayrun_api.auth import Caller, GuardedRoute
from relayrun_api.bodies import JsonRoute
from relayrun_api.services.container import Given, Services
from relayrun_api.services.ending import Ending, ending_chunks
from relayrun_api.services.runs import StartedRun
from relayrun_api.services.threads import ThreadRef, refer
from relayrun_api.stream.follow import Since, follow
from relayrun_api.stream.langgraph import RunFrames
from relayrun_api.stream.response import OnDisconnect, Streamed
from relayrun_api.stream.sse import HEADERS, HEARTBEAT, MEDIA_TYPE, START, Position
from relayrun_core.errors import RunFinished
from relayrun_core.runs import Run
from relayrun_core.states import CancelAction
from relayrun_core.store.runs import get_run

Whether = Literal["cancel", "continue"]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=128)]


def new_router(tag: str, *, open_to_all: bool = False) -> APIRouter:
    """A router whose routes read bodies our way, for callers who say who they are unless it is open to all."""
    route_class = JsonRoute if open_to_all else GuardedRoute
    return APIRouter(tags=[tag], route_class=route_class, default_response_class=Json)


async def _thread_ref(
    services: Given,
    caller: Caller,
    thread_id: Annotated[str, Path(description="A thread's UUID, or your own name for it")],
) -> ThreadRef:
    return await refer(services.database, caller, thread_id)


ThreadAt = Annotated[ThreadRef, Depends(_thread_ref)]


def run_stream(
    services: Services,
    started: StartedRun,
    *,
    modes: list[str] | None = None,
    after: Position = START,
    on_disconnect: Whether = "continue",
) -> Response:
    """A run's events as the LangGraph routes stream them."""
    subscription = started.subscription

    async def chunks() -> AsyncGenerator[bytes]:
        frames = RunFrames(modes)
        with services.metrics.sse_connections.track_inprogress():
            async for page in follow(services.database, subscription, after.seq, since_of(started.run)):
                yield (page and frames.page(page)) or HEARTBEAT

    # Python's SDK comes back there with its last event's id, and without the query that it had sent.
    query = {"stream_mode": modes or (), **({"cancel_on_disconnect": "true"} if on_disconnect == "cancel" else {})}
    again = "?".join(filter(None, ("stream", urlencode(query, doseq=True))))
    headers = {**HEADERS, **run_headers(started.thread_id, started.run_id, again), **started.headers}
    leave = _canceller(services, started.run_id) if on_disconnect == "cancel" else None
    return Streamed(chunks(), media_type=MEDIA_TYPE, headers=headers, on_disconnect=leave)


def since_of(run: Run | None) -> Since:
    """How to follow a run. None: it was accepted just now."""
    if run is None:
        return Since.JUST_ACCEPTED
    return Since.FINISHED if run.status.finished else Since.UNKNOWN


def run_ending(
    services: Services,
    started: StartedRun,
    *,
    follow_at: str | None = "join",
    render: Callable[[Ending], bytes] = Ending.for_langgraph,
    on_disconnect: Whether = "continue",
) -> Response:
    """How a run ended, once it has; white space until then. `follow_at`: where the same is answered to a client that
    lost its connection.
    """
    chunks = ending_chunks(services.database, started.subscription, render, since_of(started.run))
    leave = _canceller(services, started.run_id) if on_disconnect == "cancel" else None
    headers = {**run_headers(started.thread_id, started.run_id, follow_at), **started.headers}
    return Streamed(chunks, media_type="application/json", headers=headers, on_disconnect=leave)


def _canceller(services: Services, run_id: UUID) -> OnDisconnect:
    async def cancel() -> None:
        run = await get_run(services.database, run_id)
        if run is not None and not run.status.finished:
            try:
                await services.cancels.cancel(run, CancelAction.INTERRUPT)
            except RunFinished:
                return

    return cancel
