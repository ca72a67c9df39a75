"""A thread's protocol events, of runs present and future, for one subscription.

```
 the turn that is under way, or what is behind `since` ─▶ run n to its end ─▶ run n + 1, once there is one
```
It has no end of its own, but those of the thread, of this process and of the client; the first two cut the connection,
so that clients come back and find what there is.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing
from dataclasses import dataclass
from uuid import UUID

from relayrun_api.auth import Principal
from relayrun_api.event_protocol.events import ChannelFilter, ProtocolEvent, Subscribed
from relayrun_api.event_protocol.run_state import ProtocolRun
from relayrun_api.event_protocol.seq import Places, before_run, run_of
from relayrun_api.event_protocol.translator import ProtocolTranslator
from relayrun_api.http.streamed import HEARTBEAT_SECONDS, Truncated
from relayrun_api.runs.service import sees_run
from relayrun_api.streaming.follow import Since, follow
from relayrun_api.streaming.hub import EventHub
from relayrun_core.database import Database, is_transient
from relayrun_core.db.journal import Event, Page, TimedPage, newest_turn, read_timed_page
from relayrun_core.db.runs import get_run
from relayrun_core.db.thread_stream import run_behind, thread_exists
from relayrun_core.ids import event_id
from relayrun_core.runs import Run

logger = logging.getLogger("relayrun.api.protocol")

# Hints wake who waits; those that an older replica does not send, and threads that are gone, are rare.
_SILENCES_BEFORE_DOUBT = 3
# No event of a run, so that the hub does not look for any of what is a thread's id.
_BEHIND_ALL = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Sent:
    """One event on its way: its name, its seq, and itself as JSON on one line."""

    method: str
    seq: int
    data: bytes


class ProtocolFeed:
    """One reader of a thread, which need not exist yet."""

    def __init__(
        self,
        database: Database,
        hub: EventHub,
        caller: Principal,
        thread_id: UUID,
        subscribed: Subscribed,
        passed: Callable[[int], None] | None = None,
    ) -> None:
        """`passed` is told the seq up to which the reader has everything, whenever that is known."""
        self._database = database
        self._hub = hub
        self._caller = caller
        self._thread_id = thread_id
        self._wanted = subscribed.wanted
        self._since = subscribed.since
        self._passed = passed or (lambda _: None)
        self._after: int | None = None

    async def events(self) -> AsyncGenerator[list[Sent] | None]:
        """The events, page by page as the reader takes them; None after 5 s of silence. Raises Truncated at the end."""
        with closing(self._hub.subscribe(self._thread_id)) as waiting:
            waiting.position = _BEHIND_ALL
            while not waiting.closing:
                waiting.expect()
                try:
                    async with aclosing(self._available()) as pages:
                        async for page in pages:
                            yield page
                    if self._after and not await thread_exists(self._database, self._thread_id):
                        break
                    silences = _SILENCES_BEFORE_DOUBT
                except Exception as error:
                    if not is_transient(error):
                        raise
                    logger.warning(
                        "the database is away, trying again: %s", error, extra={"thread_id": str(self._thread_id)}
                    )
                    silences = 1
                for _ in range(silences):
                    if await waiting.wait(HEARTBEAT_SECONDS):
                        break
                    yield None
        raise Truncated

    async def _available(self) -> AsyncGenerator[list[Sent] | None]:
        """What there is, until it would have to wait for another run."""
        if self._after is None:
            self._after = max(await self._first() - 1, 0)
            self._passed(max(before_run(self._after + 1) - 1, self._since or 0))
        while following := await run_behind(self._database, self._thread_id, self._after):
            run = await get_run(self._database, following.run_id)
            if run is not None:
                if not await sees_run(self._database, self._caller, run):
                    raise Truncated  # the thread is somebody else's since: for this caller there is none
                async with aclosing(self._of(run)) as pages:
                    async for page in pages:
                        yield page
            self._after = following.number
            self._passed(before_run(self._after + 1) - 1)

    async def _first(self) -> int:
        """The number of the run to begin with."""
        if self._since is not None:
            return run_of(self._since)
        return await newest_turn(self._database, self._thread_id)

    async def _of(self, run: Run) -> AsyncGenerator[list[Sent] | None]:
        """A run's events from its first on, of which those the reader has are left out."""
        # What an event means depends on those before it.
        translation = _Translation(run, self._wanted, self._since or 0)
        with closing(self._hub.subscribe(run.run_id)) as subscription:
            since = Since.FINISHED if run.status.finished else Since.UNKNOWN
            async for page in follow(self._database, subscription, since=since, read=read_timed_page):
                if page is None:
                    yield None
                    continue
                if translated := translation.of(page):
                    yield translated
                self._passed(translation.through)


class _Translation:
    """One run's journal as what is sent."""

    def __init__(self, run: Run, wanted: ChannelFilter, since: int) -> None:
        self._translator = ProtocolTranslator(ProtocolRun.of(run), wanted)
        self._number = run.number
        self._places = Places(run.number)
        self._since = since

    @property
    def through(self) -> int:
        """The seq behind which everything is that is yet to come."""
        return self._places.last

    def of(self, page: Page) -> list[Sent]:
        """A page's events that the reader lacks."""
        times = page.times if isinstance(page, TimedPage) else [int(time.time() * 1000)] * len(page.events)
        return [sent for event, at in zip(page.events, times, strict=True) for sent in self._of(event, at)]

    def _of(self, event: Event, at: int) -> list[Sent]:
        self._places.at(event.seq)
        numbered = [
            (translated, self._places.seq(translated.part.number(translated.nth)))
            for translated in self._translator.translate(event)
        ]
        return [
            Sent(translated.method, seq, translated.written(self._identity(translated, event), seq, at))
            for translated, seq in numbered
            if seq > self._since
        ]

    def _identity(self, translated: ProtocolEvent, event: Event) -> str:
        nth = f".{translated.nth}" if translated.nth else ""
        return translated.identity or f"{event_id(self._number, event.seq)}.{translated.part.value}{nth}"
