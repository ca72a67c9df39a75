"""psycopg's pool, made safe for cancellation: a client may be cancelled at any moment, and no connection is lost.

psycopg's own pool waits for a lock and a condition while it lends and takes back connections. A client that is
cancelled there keeps its connection, on Python 3.11 for certain (`asyncio.wait_for` loses a race between what it
waits for and the cancel), and a pool that lost all of them never recovers. Here only the client waits, in its place
in the queue, for a future. The code that the lock protected has no `await`, so nothing interrupts it on one loop.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from psycopg_pool.pool_async import AddConnection, MaintenanceTask, ReturnConnection

from relayrun_core.clock import monotonic_seconds

Connection = psycopg.AsyncConnection[DictRow]

# psycopg waits 1 s, 2 s, 4 s and so on: after a restart of the database that took 3 s it would come back after 7, and
# after an hour without it an hour later.
_RECONNECT_WAIT_SHARE = 0.1
_LONGEST_RECONNECT_WAIT_SECONDS = 1.0
_CLOSE_SECONDS = 1.0


def _reconnect_wait(seconds: float) -> float:
    # With jitter: all connections of all processes were lost in the same moment.
    return min(seconds * _RECONNECT_WAIT_SHARE, _LONGEST_RECONNECT_WAIT_SECONDS) * random.uniform(0.75, 1.0)


class _Stack(deque[Any]):
    """The pool's idle connections, last returned first out.

    psycopg's pool hands them round in turn, so that every statement meets another, colder backend, each of which has
    to plan it anew. One backend that is warm answers in half the time, and idle ones can be closed.
    """

    def popleft(self) -> Any:
        """Return the connection that was used last."""
        return self.pop()


class _Place:
    """A client's place in the queue; psycopg's `WaitingClient` with a future in place of a condition."""

    def __init__(self) -> None:
        self._given: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def wait(self, seconds: float) -> Connection:
        """Return the connection. Raises PoolTimeout, and what `fail` was given."""
        late = PoolTimeout(f"couldn't get a connection after {seconds:.2f} sec")
        timer = asyncio.get_running_loop().call_later(seconds, self._fail, late)
        try:
            return await self._given
        finally:
            timer.cancel()

    async def set(self, conn: Connection) -> bool:
        """Give the client a connection; False: it is gone, or has one."""
        if self._given.done():
            return False
        self._given.set_result(conn)
        return True

    async def fail(self, error: Exception) -> bool:
        """Tell the client that there will be no connection; False: it is gone, or has one."""
        return self._fail(error)

    def left_behind(self) -> Connection | None:
        """What was given to a client that went before it could take it."""
        given = self._given
        return given.result() if given.done() and not given.cancelled() and given.exception() is None else None

    def _fail(self, error: Exception) -> bool:
        if self._given.done():
            return False
        self._given.set_exception(error)
        return True


class Pool(AsyncConnectionPool[Connection]):
    """A pool for the clients of one event loop. LangGraph's savers and stores accept it as psycopg's."""

    def __init__(self, conninfo: str | Callable[[], str], **options: Any) -> None:
        super().__init__(conninfo, connection_class=psycopg.AsyncConnection[DictRow], open=False, **options)
        self._pool = _Stack()
        self._checking: asyncio.Task[None] | None = None
        self._starving_since: float | None = None

    @property
    def starved_seconds(self) -> float:
        """How long clients have been waiting while none got a connection; 0 when none waits in vain."""
        return 0.0 if self._starving_since is None else monotonic_seconds() - self._starving_since

    async def putconn(self, conn: Connection) -> None:
        """Take a connection back. A worker takes care of one that is in the middle of a transaction."""
        if self.closed or conn.pgconn.transaction_status in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
            await super().putconn(conn)
        else:
            self._check_pool_putconn(conn)
            self.run_task(ReturnConnection(self, conn, from_getconn=False))

    async def check(self) -> None:
        """Replace dead connections. Concurrent callers share one check. psycopg's own loses a cancel."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(super().check(), name=f"check {self.name}")
        await asyncio.shield(self._checking)

    async def close(self, timeout: float = _CLOSE_SECONDS) -> None:  # noqa: ASYNC109 - psycopg's
        """Close all idle connections now, and those in use when they come back."""
        await super().close(timeout)
        if self._checking is not None:
            await asyncio.wait((self._checking,), timeout=timeout)

    async def schedule_task(self, task: MaintenanceTask, delay: float) -> None:
        """psycopg: do this later."""
        if isinstance(task, AddConnection):
            delay = _reconnect_wait(delay)
        await super().schedule_task(task, delay)

    async def _shrink_pool(self) -> None:
        # All that nobody needed since the last time. psycopg closes one of them, and here that would be the warmest.
        # One is always kept: while a password is being changed there may be no other for a minute, and those that
        # psycopg tries to make meanwhile are counted already.
        unused, self._nconns_min = self._nconns_min, len(self._pool)
        most = min(unused, len(self._pool) - 1, self._nconns - self._min_size)
        closing = [deque.popleft(self._pool) for _ in range(most)]
        self._nconns -= len(closing)
        self._nconns_min -= len(closing)
        for conn in closing:
            await self._close_connection(conn)

    def _ensure_lock(self) -> None:
        self._lock: Any = nullcontext()

    async def _getconn_unchecked(self, timeout: float) -> Connection:  # noqa: ASYNC109 - psycopg's
        conn = await self._get_ready_connection(timeout)
        if conn is None:
            conn = await self._wait_for_connection(timeout)
        self._starving_since = None
        conn._pool = self
        return conn

    async def _wait_for_connection(self, seconds: float) -> Connection:
        began = monotonic_seconds()
        if self._starving_since is None:
            self._starving_since = began
        place = _Place()
        waiting: deque[Any] = self._waiting
        waiting.append(place)
        self._stats[self._REQUESTS_QUEUED] += 1
        self._maybe_grow_pool()
        try:
            return await place.wait(seconds)
        except BaseException:
            self._stats[self._REQUESTS_ERRORS] += 1
            if (conn := place.left_behind()) is not None:
                await self._add_to_pool(conn)
            elif place in waiting:
                waiting.remove(place)
            raise
        finally:
            self._stats[self._REQUESTS_WAIT_MS] += int(1000.0 * (monotonic_seconds() - began))
