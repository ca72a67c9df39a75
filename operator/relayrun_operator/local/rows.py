"""The queue: unfinished rows, read when a notification names them, and slowly all the time for what those missed."""

import asyncio
import logging
from contextlib import AsyncExitStack
from uuid import UUID

import psycopg

from relayrun_core.database import Database, is_transient
from relayrun_core.db.notify import RUNS_CHANNEL, Listener
from relayrun_core.db.queue import heads_of, unfinished_heads
from relayrun_core.states import RunStatus
from relayrun_operator.local.runner import LocalRunner
from relayrun_operator.loop.cache import Cache

logger = logging.getLogger("relayrun.local")

POLL_SECONDS = 1.5

#: The end of a run is told by its runner and by the database at about the same time: with this much patience the
#: row need not be read. A cancel can wait as long.
_HELD_PATIENCE_SECONDS = 0.005

_RETRY_SECONDS = 0.25


class RowWatch:
    """Keeps the cache of rows up to date."""

    def __init__(self, database: Database, cache: Cache[LocalRunner], agent: str) -> None:
        self._database = database
        self._cache = cache
        self._agent = agent
        self._rereads: set[str] = set()
        self._all = False
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Read rows until cancelled."""
        async with AsyncExitStack() as stack:
            stack.enter_context((await self._listener(stack)).subscribe_all(self._on_note))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read_wanted(), name="read wanted rows")
                tasks.create_task(self._poll(), name="poll rows")

    def reread(self, run_id: str) -> None:
        """Read this run's row soon."""
        self._rereads.add(run_id)
        self._wake.set()

    async def read_all(self) -> None:
        """Read every unfinished row now; the known runs that are not among them are looked up."""
        known = {run_id for run_id, run in self._cache.runs.items() if not run.status.finished}
        heads = await unfinished_heads(self._database)
        for head in heads:
            if head.agent == self._agent:
                self._cache.see_row(head)
        await self._read(known.difference(str(head.run_id) for head in heads))

    async def _listener(self, stack: AsyncExitStack) -> Listener:
        return await stack.enter_async_context(Listener.open(self._database.where, RUNS_CHANNEL))

    def _on_note(self, run_id: str) -> None:
        if not run_id:
            self._all = True
            self._wake.set()
        elif self._cache.ended_lately(run_id):
            return
        elif self._is_held(run_id):
            asyncio.get_running_loop().call_later(_HELD_PATIENCE_SECONDS, self._reread_unless_ended, run_id)
        else:
            self.reread(run_id)

    def _is_held(self, run_id: str) -> bool:
        run = self._cache.runs.get(run_id)
        runner = self._cache.runners.get(run.runner or "") if run else None
        return run is not None and runner is not None and runner.holds(run_id, run.attempt)

    def _reread_unless_ended(self, run_id: str) -> None:
        if not self._cache.ended_lately(run_id):
            self.reread(run_id)

    async def _read_wanted(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            rereads, self._rereads = self._rereads, set()
            everything, self._all = self._all, False
            try:
                await (self.read_all() if everything else self._read(rereads))
            except psycopg.Error as error:
                _raise_unless_transient(error)
                self._rereads |= rereads
                self._all |= everything
                await asyncio.sleep(_RETRY_SECONDS)  # the database is away
                self._wake.set()

    async def _read(self, run_ids: set[str]) -> None:
        if not run_ids:
            return
        heads = await heads_of(self._database, [UUID(run_id) for run_id in run_ids])
        for head in heads:
            if head.agent == self._agent and head.status is not RunStatus.DELAYED:
                new = str(head.run_id) not in self._cache.runs
                self._cache.see_row(head)
                if new:
                    # Its strategy may have cancelled those before it, of which there is no other news.
                    self._rereads.update(self._cache.siblings(str(head.run_id)))
        if self._rereads:
            self._wake.set()
        for run_id in run_ids.difference(str(head.run_id) for head in heads):
            self._cache.see_missing_row(run_id)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.read_all()
            except psycopg.Error as error:
                _raise_unless_transient(error)
                logger.warning("the queue cannot be read, trying again: %s", error)


def _raise_unless_transient(error: psycopg.Error) -> None:
    if not is_transient(error):
        raise error
