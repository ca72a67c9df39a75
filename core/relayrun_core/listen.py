"""LISTEN on a connection of its own: wakes who waits for a run. Hints only: it may miss some while it reconnects."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import sql

from relayrun_core.database import connection_options

logger = logging.getLogger("relayrun.listen")

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
    async def open(cls, url: str, channel: str) -> AsyncIterator["Listener"]:
        """Listen on one channel of the database at `url` until the block ends."""
        listener = cls()
        listening = asyncio.Event()
        task = asyncio.create_task(listener._listen(url, channel, listening), name=f"listen {channel}")
        try:
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

    async def _listen(self, url: str, channel: str, listening: asyncio.Event) -> None:
        delay = _FIRST_RETRY_SECONDS
        while True:
            try:
                options = connection_options("api") | {"application_name": f"relayrun-listen-{channel}"}
                async with await psycopg.AsyncConnection.connect(url, **options) as conn:
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    delay = _FIRST_RETRY_SECONDS
                    if listening.is_set():
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
