"""Runs as answers: the stream of a run's events, and the end of a run for those who wait for it."""

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from pydantic import BeforeValidator
from starlette.responses import Response

from relayrun_api.http.responses import dumps, run_headers
from relayrun_api.http.streamed import OnDisconnect, Streamed
from relayrun_api.runs.ending import KEEPALIVE, Ending, ending_chunks
from relayrun_api.runs.frames import RunFrames
from relayrun_api.runs.service import StartedRun
from relayrun_api.services import Services
from relayrun_api.streaming.follow import NO_RUN, Since, follow
from relayrun_api.streaming.sse import HEADERS, HEARTBEAT, MEDIA_TYPE, START, Position, frame
from relayrun_core.database import Database
from relayrun_core.db.journal import END, read_newest
from relayrun_core.db.runs import get_run
from relayrun_core.errors import RunFinished
from relayrun_core.ids import event_id
from relayrun_core.runs import Run
from relayrun_core.states import CancelAction

Whether = Literal["cancel", "continue"]
#: What is none of them is an interrupt, as the Agent Server has it.
Action = Annotated[
    CancelAction, BeforeValidator(lambda value: value if value == CancelAction.ROLLBACK else CancelAction.INTERRUPT)
]


def run_stream(
    services: Services,
    started: StartedRun,
    *,
    modes: list[str] | None = None,
    after: Position = START,
    times: bool = False,
    on_disconnect: Whether = "continue",
) -> Response:
    """A run's events as the LangGraph routes stream them: those behind `after`."""
    subscription = started.subscription

    async def chunks() -> AsyncGenerator[bytes]:
        frames = RunFrames(modes, times=times)
        with services.metrics.sse_connections.track_inprogress():
            async for page in follow(services.database, subscription, after.seq, since_of(started.run)):
                if page is not None:
                    yield frames.page(page)

    # SDKs come back there with their last event's id, and Python's without the query that it had sent. Who was cut off
    # before its first event has no id, and without one would be told what comes from then on.
    number = started.run.number if started.run else 0
    query = {"stream_mode": modes or (), "last_event_id": "-" if after == START else event_id(number, after.seq)}
    query |= {"times": "true"} if times else {}
    query |= {"cancel_on_disconnect": "true"} if on_disconnect == "cancel" else {}
    again = f"stream?{urlencode(query, doseq=True)}"
    headers = {**HEADERS, **run_headers(started.thread_id, started.run_id, again), **started.headers}
    leave = canceller(services, started.run_id) if on_disconnect == "cancel" else None
    return Streamed(chunks(), media_type=MEDIA_TYPE, headers=headers, heartbeat=HEARTBEAT, on_disconnect=leave)


async def position_now(database: Database, run: Run) -> Position:
    """Where a reader begins who wants what the run tells from now on."""
    newest = await read_newest(database, run.run_id, START.seq)
    if newest is None:
        return START
    # In front of the end, or its reader would wait for another.
    last = newest.events[-1]
    return Position(last.seq - 1 if last.event == END else last.seq)


def missing_run_stream(thread_id: UUID, run_id: UUID) -> Response:
    """The stream of a run that is not there, as the Agent Server has it: its status is out before it looks."""
    body = frame("error", dumps(NO_RUN))
    return Response(body, headers={**HEADERS, **run_headers(thread_id, run_id, "stream")}, media_type=MEDIA_TYPE)


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
    leave = canceller(services, started.run_id) if on_disconnect == "cancel" else None
    headers = {**run_headers(started.thread_id, started.run_id, follow_at), **started.headers}
    return Streamed(chunks, media_type="application/json", headers=headers, heartbeat=KEEPALIVE, on_disconnect=leave)


def canceller(services: Services, run_id: UUID) -> OnDisconnect:
    """Cancels the run, unless it has ended."""

    async def cancel() -> None:
        run = await get_run(services.database, run_id)
        if run is not None and not run.status.finished:
            try:
                await services.cancels.cancel(run, CancelAction.INTERRUPT)
            except RunFinished:
                return

    return cancel
