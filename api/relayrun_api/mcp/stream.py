"""The answer to a call as it comes: events of its run's journal as progress, and its end as the result.

Where the agent asks something that the client's user can be asked, the answer goes on with the run that takes theirs.
Each event's id is its place in the journal, so that a client which lost its connection goes on at any replica.
"""

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relayrun_api.http.responses import dumps, loads
from relayrun_api.http.streamed import HEARTBEAT_SECONDS, Truncated
from relayrun_api.mcp.calls import Call, call_result
from relayrun_api.mcp.errors import INVALID_REQUEST, McpError
from relayrun_api.mcp.messages import Dialect, result_body
from relayrun_api.mcp.questions import form_of
from relayrun_api.runs.ending import Ending, ending_chunks, ending_of
from relayrun_api.runs.service import StartedRun
from relayrun_api.runs.streams import since_of
from relayrun_api.services import Services
from relayrun_api.streaming.follow import follow
from relayrun_core.database import Database, is_transient
from relayrun_core.db.finish import RunOutcome, read_outcome
from relayrun_core.db.journal import END, Event, Page, read_page
from relayrun_core.db.runs import next_run
from relayrun_core.db.threads import get_thread
from relayrun_core.ids import event_id, uuid_of
from relayrun_core.runs import Run
from relayrun_core.states import RunStatus

# The clients come back twice, this much later each time: enough for an API that is started anew.
_RETRY_MILLISECONDS = 5000
# Clients of older versions take each event for a message.
_EMPTY_SINCE = "2025-11-25"
_LONGEST_TOLD = 200
_METHOD = "tools/call"
_BEHIND_ALL = 2**63 - 1
_PLACE = re.compile(r"([0-9a-f-]{36})\.(\d{1,9})-(-1|\d{1,18})")

#: What a thread's metadata says when its user would not answer: the id of the run that asked.
DECLINED = "mcp_declined"


@dataclass(frozen=True)
class Place:
    """Where a reader is: in which call, in the how manieth run of its thread, and behind which event."""

    call_id: UUID
    number: int
    seq: int

    def __str__(self) -> str:
        return f"{self.call_id}.{event_id(self.number, self.seq)}"


def place_of(text: str) -> Place:
    """The place that an event's id names. Raises McpError where it is none of ours."""
    found = _PLACE.fullmatch(text)
    call_id = uuid_of(found[1]) if found else None
    if found is None or call_id is None:
        raise McpError(INVALID_REQUEST, "`Last-Event-ID` is not from this server: send the request again.")
    return Place(call_id, int(found[2]), int(found[3]))


async def call_events(
    services: Services, started: StartedRun, call: Call, dialect: Dialect, after: Place | None = None
) -> AsyncGenerator[bytes]:
    """The events behind `after`; None: all of them. First comes one that is empty, with which a client can come back.

    Also where it has just come back: clients know a connection's own events alone.
    """
    after = after or Place(started.run_id, 0, -1)
    if dialect.version >= _EMPTY_SINCE:
        yield f"id: {after}\r\nretry: {_RETRY_MILLISECONDS}\r\ndata: \r\n\r\n".encode()
    progress = _Progress(call, after)
    run: StartedRun | None = started
    while run is not None:
        place, ending = after, ending_of(None)
        async for page, outcome in _pages(services.database, run):
            yield b"".join(progress.frames(page))
            if page.events[-1].event == END:
                place = Place(after.call_id, page.number, page.events[-1].seq)
                ending = ending_of(outcome)
        asked = None if dialect.modern or not call.elicits else _elicitation(ending, run.run_id, dialect.version)
        if asked is not None and progress.is_news(place):
            yield _event(place, asked)
        next_one = await _answered(services, run, place.number) if asked is not None else None
        if next_one is None:
            yield _event(place, _result(ending, run, call, dialect))
        run = None if next_one is None else services.runs.join(next_one)


def call_answer(services: Services, started: StartedRun, call: Call, dialect: Dialect) -> AsyncGenerator[bytes]:
    """The result alone, for a client that takes no stream."""
    return ending_chunks(
        services.database,
        started.subscription,
        lambda ending: _result(ending, started, call, dialect),
        since_of(started.run),
    )


async def _pages(database: Database, started: StartedRun) -> AsyncGenerator[tuple[Page, RunOutcome | None]]:
    """The run's pages, with how it ended beside the last."""
    outcome: RunOutcome | None = None

    async def read(database: Database, run_id: UUID, after_seq: int) -> Page | None:
        nonlocal outcome
        page = await read_page(database, run_id, after_seq)
        if page is not None and page.events[-1].event == END:
            outcome = await read_outcome(database, run_id)
        return page

    async for page in follow(database, started.subscription, since=since_of(started.run), read=read):
        if page is None:
            continue
        if page.events[-1].event == END and outcome is None:  # the journal is gone
            outcome = await read_outcome(database, started.run_id)
        yield page, outcome


def _elicitation(ending: Ending, run_id: UUID, version: str) -> bytes | None:
    """The request that asks the client's user what a run asks: the first question, and those that are left later."""
    if ending.status is not RunStatus.INTERRUPTED:
        return None
    for question in questions_of(ending):
        params = form_of(question, version)
        if params is not None:
            identity = f"{run_id}.{question['id']}"
            return dumps({"jsonrpc": "2.0", "id": identity, "method": "elicitation/create", "params": params})
    return None


def questions_of(ending: Ending) -> list[dict[str, Any]]:
    """What a run asks that has ended."""
    values = loads(ending.values)
    found = values.get("__interrupt__") if isinstance(values, dict) else None
    return found if isinstance(found, list) else []


async def _answered(services: Services, asking: StartedRun, number: int) -> Run | None:
    """The run that goes on behind a question, whoever answered it; None where its user would not. Raises Truncated."""
    # The hub knows it by its thread, and wakes it when that has a new run, or its user declines.
    with closing(services.hub.subscribe(asking.thread_id)) as waiting:
        waiting.position = _BEHIND_ALL
        while not waiting.closing:
            waiting.expect()
            try:
                if (run := await next_run(services.database, asking.thread_id, number)) is not None:
                    return run
                thread = await get_thread(services.database, asking.thread_id)
            except Exception as error:
                if not is_transient(error):
                    raise
            else:
                if thread is None or thread.metadata.get(DECLINED) == str(asking.run_id):
                    return None
            await waiting.wait(HEARTBEAT_SECONDS)
    raise Truncated


def _result(ending: Ending, run: StartedRun, call: Call, dialect: Dialect) -> bytes:
    asks = dialect.version if dialect.modern and call.elicits else None
    result = call_result(ending, run.thread_id, run.run_id, asks=asks)
    return result_body(call.request_id, _METHOD, result, dialect)


class _Progress:
    """Notifications of steps. They are counted from the first run's first, wherever the reader begins."""

    def __init__(self, call: Call, after: Place) -> None:
        self._token = call.progress_token
        self._after = after
        self._told = 0

    def is_news(self, place: Place) -> bool:
        """Whether the reader does not have it."""
        return (place.number, place.seq) > (self._after.number, self._after.seq)

    def frames(self, page: Page) -> Iterator[bytes]:
        """Those of a page."""
        if self._token is None:
            return
        for event in page.events:
            text = _told(event)
            if text is None:
                continue
            self._told += 1
            place = Place(self._after.call_id, page.number, event.seq)
            if self.is_news(place):
                yield _event(place, self._notification(text))

    def _notification(self, text: str) -> bytes:
        params = {"progressToken": self._token, "progress": self._told, "message": text[:_LONGEST_TOLD]}
        return dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


def _told(event: Event) -> str | None:
    """What a step is told as: the names of its nodes, or what the agent itself says."""
    match event.event:
        case "updates":
            update = loads(event.data)
            nodes = [name for name in update if not name.startswith("__")] if isinstance(update, dict) else []
            return ", ".join(nodes) or None
        case "custom":
            said: Any = loads(event.data)
            message = said.get("message") if isinstance(said, dict) else said
            return message if isinstance(message, str) else dumps(said).decode()
        case _:
            return None


def _event(place: Place, data: bytes) -> bytes:
    return b"".join((f"id: {place}\r\nevent: message\r\ndata: ".encode(), data, b"\r\n\r\n"))
