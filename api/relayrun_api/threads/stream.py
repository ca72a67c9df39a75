"""The stream of a thread: the events of all its runs in order, and the edits of its state.

```
 run n ──▶ its journal to the end ──▶ edits of the state behind it ──▶ run n + 1, once there is one
```

It has no end of its own, but those of the thread, of this process and of the client. When the process goes down the
connection is cut: clients take a stream that ends in order for one that is over.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing
from typing import Literal
from uuid import UUID

from relayrun_api.http.errors import Invalid
from relayrun_api.http.responses import dumps
from relayrun_api.http.streamed import HEARTBEAT_SECONDS, Truncated
from relayrun_api.streaming.follow import Since, follow
from relayrun_api.streaming.hub import EventHub
from relayrun_api.streaming.sse import frame
from relayrun_core.database import Database, is_transient
from relayrun_core.db.journal import END, Event, Page, read_page
from relayrun_core.db.thread_stream import (
    BEHIND_ALL_EVENTS,
    NumberedRun,
    Place,
    edit_behind,
    place_now,
    run_at,
    run_behind,
    thread_exists,
)
from relayrun_core.ids import event_id, parse_event_id

logger = logging.getLogger("relayrun.api.thread")

ThreadStreamMode = Literal["run_modes", "lifecycle", "state_update"]

_LARGEST_SEQ = 2**63 - 1
# Hints wake who waits; a thread that is gone, and hints that an older replica does not send, are rare.
_SILENCES_BEFORE_DOUBT = 3


class ThreadFilter:
    """Lets through the events of some stream modes."""

    def __init__(self, modes: Sequence[ThreadStreamMode]) -> None:
        self._runs = "run_modes" in modes
        self._lifecycle = "lifecycle" in modes
        self.edits = "state_update" in modes

    def __call__(self, event: str) -> bool:
        """Whether a run's event of this name goes through. Starts and ends are events of the name `metadata`."""
        return self._runs or (self._lifecycle and event == "metadata")


async def place_after(database: Database, thread_id: UUID, last_event_id: str | None) -> Place:
    """Where a reader is that has everything up to this event; without one it wants what comes from now on, as it does
    with one that the thread has not had.

    Raises Invalid for what is not an event id, among them `-1`, which is one for a run's stream alone.
    """
    now, runs = await place_now(database, thread_id)
    if not last_event_id:
        return now
    try:
        number, seq = parse_event_id(last_event_id.strip())
    except ValueError as error:
        raise _no_event_id(last_event_id) from error
    if last_event_id.strip() == "-1":
        raise _no_event_id(last_event_id)
    if number > runs or not -1 <= seq <= _LARGEST_SEQ:
        return now
    return Place(number, seq)


class ThreadFollower:
    """One reader of a thread."""

    def __init__(self, database: Database, hub: EventHub, thread_id: UUID, after: Place, wanted: ThreadFilter) -> None:
        self._database = database
        self._hub = hub
        self._thread_id = thread_id
        self._place = after
        self._wanted = wanted

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Server-sent events as they come, empty where none is wanted or comes for 5 s; ends with the thread.

        A page is read when the one before was taken. Raises Truncated.
        """
        # The hub knows it by its thread, and wakes it when that has a new run or edit; its runs' events are no news.
        with closing(self._hub.subscribe(self._thread_id)) as waiting:
            waiting.position = _LARGEST_SEQ
            while not waiting.closing:
                waiting.expect()
                silences = 1
                try:
                    async with aclosing(self._available()) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    if not await thread_exists(self._database, self._thread_id):
                        return
                    silences = _SILENCES_BEFORE_DOUBT
                except Exception as error:
                    if not is_transient(error):
                        raise
                    logger.warning("the database is away, trying again: %s", error)
                for _ in range(silences):
                    if await waiting.wait(HEARTBEAT_SECONDS):
                        break
                    yield b""
        raise Truncated

    async def _available(self) -> AsyncGenerator[bytes]:
        """What there is behind the reader, until it would have to wait for another run or edit."""
        while not self._hub.closing:
            if self._place.seq < BEHIND_ALL_EVENTS:
                async with aclosing(self._rest_of_run()) as chunks:
                    async for chunk in chunks:
                        yield chunk
                continue
            # Before the edits: once there is another run, no edit comes behind this one.
            following = await run_behind(self._database, self._thread_id, self._place.number)
            while self._wanted.edits and (edit := await edit_behind(self._database, self._thread_id, self._place)):
                self._place = Place(self._place.number, edit.seq)
                yield frame("state_update", edit.data, event_id(self._place.number, edit.seq))
            if following is None:
                return
            self._place = Place(following.number)

    async def _rest_of_run(self) -> AsyncGenerator[bytes]:
        """The events of the reader's run behind its place, until its end."""
        run = await run_at(self._database, self._thread_id, self._place.number)
        # A reader that has its end, or a run whose journal was forgotten: it is not told to end once more.
        if run is not None and not (run.status.finished and await self._has_all_of(run)):
            with closing(self._hub.subscribe(run.run_id)) as subscription:
                since = Since.FINISHED if run.status.finished else Since.UNKNOWN
                async for page in follow(self._database, subscription, self._place.seq, since):
                    if page is None:
                        yield b""
                        continue
                    yield self._frames(page, run)
                    self._place = Place(run.number, page.events[-1].seq)
        self._place = Place(self._place.number, BEHIND_ALL_EVENTS)

    async def _has_all_of(self, run: NumberedRun) -> bool:
        return await read_page(self._database, run.run_id, self._place.seq) is None

    def _frames(self, page: Page, run: NumberedRun) -> bytes:
        named = ((event, *_as_told(event, run)) for event in page.events)
        return b"".join(
            frame(name, data, event_id(run.number, event.seq)) for event, name, data in named if self._wanted(name)
        )


def _as_told(event: Event, run: NumberedRun) -> tuple[str, bytes]:
    """The name and data of a run's event in its thread's stream, which goes on when the run ends."""
    if event.event != END:
        return event.event, event.data
    return "metadata", dumps({"status": "run_done", "run_id": run.run_id})


def _no_event_id(text: str) -> Invalid:
    return Invalid(f"Invalid last-event-id: {text!r} is no event's id. Send that of the last event, or `-` for all.")
