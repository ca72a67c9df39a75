"""Follows a run's journal to its end, page by page, through lost hints, an absent database and a slow reader."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from uuid import UUID

import orjson

from relayrun_api.http.streamed import HEARTBEAT_SECONDS, Truncated
from relayrun_api.streaming.hub import Subscription
from relayrun_core.database import Database, is_transient
from relayrun_core.db.journal import END, Event, Page, read_page
from relayrun_core.db.runs import get_run

logger = logging.getLogger("relayrun.api.follow")

ReadPage = Callable[[Database, UUID, int], Awaitable[Page | None]]

#: What the Agent Server tells those who follow a run that is not there, or no longer.
NO_RUN = {"error": "HTTPException", "message": "404: Run not found"}

_RETRY_SECONDS = 1.0
# A run that ends without its journal is rare, and a thousand idle streams ask this often.
_SILENCES_BEFORE_DOUBT = 6


class Since(Enum):
    """What is known of the run when following begins."""

    JUST_ACCEPTED = "nothing can have happened that the subscription has not heard of"
    UNKNOWN = "it may be anywhere"
    FINISHED = "nothing can come but what is there"


async def follow(
    database: Database,
    subscription: Subscription,
    after_seq: int = -1,
    since: Since = Since.UNKNOWN,
    *,
    read: ReadPage = read_page,
) -> AsyncIterator[Page | None]:
    """Yield pages of the run's events behind `after_seq` until its `end`; None after 5 s of silence.

    A page is read when the one before was taken, so a slow reader costs one page and slows nobody else. Raises
    Truncated when the process goes down before: clients take a stream that ends in order for one that is over, and the
    SDKs, which ask for the run then, find one that has ended meanwhile.
    """
    subscription.position = after_seq
    finished = since is Since.FINISHED
    wait_seconds = HEARTBEAT_SECONDS if since is Since.JUST_ACCEPTED else 0.0
    unread = False
    silences = 0
    while not subscription.closing:
        woken = bool(wait_seconds) and await subscription.wait(wait_seconds)
        if wait_seconds and not woken:
            silences += 1
            finished = finished or (silences % _SILENCES_BEFORE_DOUBT == 0 and await _has_ended(database, subscription))
            yield None
            if not unread and not finished:
                continue  # the hub looks every second, for all streams at once
        wait_seconds = HEARTBEAT_SECONDS
        subscription.expect()
        try:
            page = await _next_page(database, subscription, read, finished=finished, woken=woken)
        except Exception as error:
            if not is_transient(error):
                raise
            logger.warning("the database is away, trying again: %s", error, extra={"run": str(subscription.run_id)})
            unread, wait_seconds = True, _RETRY_SECONDS
            continue
        unread = False
        if page is not None:
            subscription.position = page.events[-1].seq
            yield page
            if page.events[-1].event == END:
                return
            if page.full:
                wait_seconds = 0.0
    raise Truncated


async def _next_page(
    database: Database, subscription: Subscription, read: ReadPage, *, finished: bool, woken: bool
) -> Page | None:
    """`woken`: something happened, and where it is no event, the run may have been deleted."""
    page = await read(database, subscription.run_id, subscription.position)
    if page is None and woken and not finished:
        finished = await _has_ended(database, subscription)
        # What it ended with may have come since.
        page = await read(database, subscription.run_id, subscription.position) if finished else None
    return await _made_up_end(database, subscription) if page is None and finished else page


async def _has_ended(database: Database, subscription: Subscription) -> bool:
    """Whether the run has ended, or was deleted; looked at only where no event is."""
    try:
        run = await get_run(database, subscription.run_id)
    except Exception as error:
        if not is_transient(error):
            raise
        return False
    return run is None or run.status.finished


async def _made_up_end(database: Database, subscription: Subscription) -> Page:
    """The `end` for a reader that has it already, or whose run was deleted, or its journal."""
    run = await get_run(database, subscription.run_id)
    gone = [] if run else [Event(subscription.position, "error", orjson.dumps(NO_RUN))]
    data = {
        "run_id": subscription.run_id,
        "thread_id": run.thread_id if run else None,
        "status": run.status if run else "cancelled",
        "reason": run.reason if run else "Cancelled",
    }
    return Page([*gone, Event(subscription.position, END, orjson.dumps(data))], run.number if run else 0)
