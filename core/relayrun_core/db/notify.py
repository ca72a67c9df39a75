"""Sends hints through NOTIFY that a run or thread changed, and listens for them.

Hints only save time: every reader polls as well.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg_pool import PoolTimeout

from relayrun_core.connecting import ConnectionSettings
from relayrun_core.database import Database, connection_options, current_url, set_up_session
from relayrun_core.db.arrays import TEXT

logger = logging.getLogger("relayrun.notify")

#: Payload: the run id. A run was created, its cancel requested, or it ended.
RUNS_CHANNEL = "relayrun_runs"
#: Payload: the run id. The run's journal has new events. Or a thread's id: it has a new run or edit, or is gone.
EVENTS_CHANNEL = "relayrun_events"

#: A hint on one channel, as an asynchronous commit of its own. Parameters: channel, run id.
NOTIFY = "SELECT relayrun_notify(%s, %s)"

#: Hints on both channels; its parameters come from `notify_params`.
NOTIFY_BOTH = """
SELECT set_config('synchronous_commit', 'off', true), pg_notify(%(runs)s, %(run)s), pg_notify(%(events)s, %(run)s)"""

#: Hints that a run was created: to who places runs, and to who follows its thread. Parameters: run id, thread id.
NOTIFY_CREATED = f"""
SELECT set_config('synchronous_commit', 'off', true), pg_notify('{RUNS_CHANNEL}', %s::text),
    pg_notify('{EVENTS_CHANNEL}', %s::text)"""

#: Any number of hints in one commit; its parameters come from `many_params`.
NOTIFY_MANY = """
SELECT set_config('synchronous_commit', 'off', true), pg_notify(hint.channel, hint.about)
FROM unnest(%s, %s) AS hint (channel, about)"""

# While hints come faster than this they go together: nobody notices so little, and a commit for each costs 1 ms.
_GATHER_SECONDS = 0.005

#: Sends a hint on a channel about a run, soon.
Hint = Callable[[str, UUID], None]


async def notify(database: Database, run_id: UUID) -> None:
    """Send a hint that the run changed and may have new events, in an asynchronous commit of its own."""
    await database.execute(NOTIFY_BOTH, notify_params(run_id))


async def notify_thread(database: Database, thread_id: UUID) -> None:
    """Send a hint to followers of the thread that it changed in another way than by its runs' events."""
    await database.execute(NOTIFY, (EVENTS_CHANNEL, thread_id))


def notify_params(run_id: UUID) -> dict[str, str]:
    """The parameters of NOTIFY_BOTH."""
    return {"runs": RUNS_CHANNEL, "events": EVENTS_CHANNEL, "run": str(run_id)}


def many_params(hints: Iterable[tuple[str, UUID]]) -> tuple[bytes, bytes]:
    """The parameters of NOTIFY_MANY: each a channel, and the run or thread that it is about."""
    channels, about = zip(*hints, strict=True)
    return TEXT(channels), TEXT(map(str, about))


class Hints:
    """Sends hints in the background, in batches. `run()` must be running.

    The first goes at once, and at most one commit is in progress, so that many runs cost few commits. A hint that
    cannot be sent is dropped.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: set[tuple[str, UUID]] = set()
        self._work = asyncio.Event()

    def send(self, channel: str, run_id: UUID) -> None:
        """Send a hint soon."""
        self._waiting.add((channel, run_id))
        self._work.set()

    async def run(self) -> None:
        """Send hints until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            hints, self._waiting = self._waiting, set()
            try:
                await self._database.execute(NOTIFY_MANY, many_params(hints))
            except (psycopg.Error, PoolTimeout) as error:
                logger.info("hints were not sent, readers will poll: %s", error)
            await asyncio.sleep(_GATHER_SECONDS)


_POOLED = (
    "LISTEN reaches no client through a pooler, so news comes once a second only: set RELAYRUN_DATABASE_DIRECT_URL to a"
    " URL of Postgres itself"
)
_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 0.5

Wake = Callable[[str], Any]


class Listener:
    """Calls back for each notification, on the loop it was opened on."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[Wake]] = defaultdict(set)
        self._for_all: set[Wake] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, where: str | ConnectionSettings, channel: str, *, at_once: bool = False
    ) -> AsyncIterator["Listener"]:
        """Listen on one channel of the database until the block ends; not through a pooler.

        `at_once`: the block begins before the database answers. Subscribers are woken when it does.
        """
        listener = cls()
        listening = asyncio.Event()
        task = asyncio.create_task(
            listener._listen(ConnectionSettings.of(where), channel, listening), name=f"listen {channel}"
        )
        try:
            if not at_once:
                await listening.wait()
            yield listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextmanager
    def subscribe(self, key: str, wake: Wake) -> Iterator[None]:
        """Call `wake(payload)` for each notification whose payload is `key`, and after each reconnect."""
        self._by_key[key].add(wake)
        try:
            yield
        finally:
            self._by_key[key].discard(wake)
            if not self._by_key[key]:
                del self._by_key[key]

    @contextmanager
    def subscribe_all(self, wake: Wake) -> Iterator[None]:
        """Call `wake(payload)` for every notification; with an empty payload after a reconnect: look at all."""
        self._for_all.add(wake)
        try:
            yield
        finally:
            self._for_all.discard(wake)

    async def _listen(self, where: ConnectionSettings, channel: str, listening: asyncio.Event) -> None:
        delay = _FIRST_RETRY_SECONDS
        while True:
            try:
                options = connection_options("api") | {"application_name": f"relayrun-listen-{channel}"}
                async with await psycopg.AsyncConnection.connect(current_url(where), **options) as conn:
                    if await set_up_session(conn, {}):
                        logger.warning(_POOLED)
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    delay = _FIRST_RETRY_SECONDS
                    self._wake_everyone()
                    listening.set()
                    async for note in conn.notifies():
                        self._wake(note.payload)
            except psycopg.Error as error:
                logger.info("the listening connection was lost, trying again: %s", error)
            await asyncio.sleep(delay)  # back-off between two tries to connect
            delay = min(delay * 2, _LONGEST_RETRY_SECONDS)

    def _wake(self, payload: str) -> None:
        for wake in (*self._by_key.get(payload, ()), *self._for_all):
            wake(payload)

    def _wake_everyone(self) -> None:
        for key in list(self._by_key):
            for wake in list(self._by_key[key]):
                wake(key)
        for wake in list(self._for_all):
            wake("")
