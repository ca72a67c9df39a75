"""Wakes readers of runs' events: one LISTEN connection for each process, and one poll a second for all readers.

Notifications are hints and may be lost; the question finds what they missed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakSet

import psycopg
from psycopg_pool import PoolTimeout

from relayrun_api.tasks import cancelled
from relayrun_core.connecting import ConnectionSettings
from relayrun_core.database import Database
from relayrun_core.db.journal import newest_events
from relayrun_core.db.notify import EVENTS_CHANNEL, Listener

logger = logging.getLogger("relayrun.api.hub")

_POLL_SECONDS = 1.0


class Subscription:
    """One reader's interest in one run; `position` is the seq it has read up to."""

    def __init__(self, hub: "EventHub", run_id: UUID) -> None:
        self._hub = hub
        self.run_id = run_id
        self.position = -1
        self._news = asyncio.Event()

    @property
    def closing(self) -> bool:
        """Whether the process is going down, so that the reader should go elsewhere."""
        return self._hub.closing

    def expect(self) -> None:
        """Forget earlier news; called before a read, so that none is missed between the read and the wait."""
        self._news.clear()

    def wake(self) -> None:
        """There may be news."""
        self._news.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for news; False when none came."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """The reader is gone; harmless when told twice."""
        self._hub.drop(self)


class EventHub:
    """Wakes subscriptions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Weak, so that a reader that vanished before its stream began leaves nothing behind.
        self._subscriptions: dict[UUID, WeakSet[Subscription]] = {}
        self.closing = False

    @classmethod
    @asynccontextmanager
    async def open(cls, database: Database, direct: ConnectionSettings) -> AsyncIterator["EventHub"]:
        """A hub that listens until the block ends, at `direct`: not through a pooler."""
        hub = cls(database)
        listening = Listener.open(direct, EVENTS_CHANNEL, at_once=True)
        async with listening as listener, asyncio.TaskGroup() as group:
            with listener.subscribe_all(hub.wake):
                poll = group.create_task(hub._poll(), name="poll journals")
                try:
                    yield hub
                finally:
                    hub.close()
                    await cancelled(poll)

    def subscribe(self, run_id: UUID) -> Subscription:
        """A subscription that is awake from now on; its owner closes it. The run need not exist yet."""
        subscription = Subscription(self, run_id)
        self._subscriptions.setdefault(run_id, WeakSet()).add(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        waiting = self._subscriptions.get(subscription.run_id)
        if waiting is not None:
            waiting.discard(subscription)
            if not waiting:
                del self._subscriptions[subscription.run_id]

    def wake(self, payload: str) -> None:
        """Wake those who wait for the run with this id; everybody, for an empty payload."""
        if not payload:
            self._wake(self._subscriptions)
            return
        run_id = UUID(payload)
        if run_id in self._subscriptions:
            self._wake((run_id,))

    def close(self) -> None:
        """The process is going down: readers finish their page and leave."""
        self.closing = True
        self._wake(self._subscriptions)

    def _wake(self, run_ids: Iterable[UUID]) -> None:
        for run_id in run_ids:
            for subscription in self._subscriptions.get(run_id, ()):
                subscription.wake()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            positions = self._positions()
            if not positions:
                continue
            try:
                newest = await newest_events(self._database, positions)
            except (psycopg.Error, PoolTimeout) as error:
                logger.warning("could not look for news, trying again: %s", error)
                continue
            # Only those who lack something: one reader that is stuck must not keep the run's others busy.
            for run_id, seq in newest.items():
                for subscription in self._subscriptions.get(run_id, ()):
                    if subscription.position < seq:
                        subscription.wake()

    def _positions(self) -> dict[UUID, int]:
        positions = {}
        for run_id, waiting in list(self._subscriptions.items()):
            seqs = [subscription.position for subscription in waiting]
            if seqs:
                positions[run_id] = min(seqs)
            else:
                del self._subscriptions[run_id]
        return positions
