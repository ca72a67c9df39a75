"""Connections to Postgres: one pool a process and loop, and what a lost connection looks like."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar
from uuid import UUID
from weakref import WeakSet

import psycopg
from psycopg import errors
from psycopg.rows import dict_row
from psycopg.types.json import set_json_dumps
from psycopg_pool import PoolClosed, PoolTimeout

from relayrun_core import storable
from relayrun_core.pool import Connection, Pool

logger = logging.getLogger("relayrun.database")

Role = Literal["api", "runner", "world"]
T = TypeVar("T")

# A runner that is frozen inside a transaction must not hold its locks for long; the claim ends it sooner.
_TRANSACTION_TIMEOUT = "60s"
# Classes of SQLSTATE that say nothing about the statement: connection, resources, operator intervention, limits.
_TRANSIENT_CLASSES = ("08", "53", "57", "40")
# A statement that took longer than it may would do so again.
_TIMED_OUT = "57014"
_LOCK_TRIES = 20
# Longer than any outage of the network within the cluster that mends itself.
_BROKEN_AFTER_SECONDS = 60.0
_WATCH_SECONDS = 5.0
_ANSWER_SECONDS = 5.0


class Database:
    """A pool of autocommit connections with rows as dicts."""

    def __init__(self, url: str) -> None:
        self.pool: Pool
        self.url = url
        self._dumps: Callable[[Any], bytes] = storable.dumps
        #: Grows with each new connection: that it grew may mean that the server was restarted.
        self.connections_made = 0
        #: Whether the pool has given nobody a connection for long although the database answers: a new process helps.
        self.broken = False
        self._connections: WeakSet[Connection] = WeakSet()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        role: Role,
        min_size: int = 1,
        max_size: int = 10,
        timeout_seconds: float = 10.0,
        parameters: str = "",
        when_broken: Callable[[], None] = lambda: None,
        dumps: Callable[[Any], bytes] = storable.dumps,
    ) -> AsyncIterator["Database"]:
        """Open a pool on the running loop; `timeout_seconds` bounds the wait for a free connection.

        `parameters`: more of the server's, for every connection, as `-c name=value`. `when_broken` is called while the
        pool is of no use although the database answers. `dumps` writes psycopg's `Json`s.
        """
        database = cls(url)
        database._dumps = dumps
        options = connection_options(role)
        options["options"] += f" {parameters}"
        database.pool = pool = Pool(
            url,
            kwargs=options,
            min_size=min_size,
            max_size=max_size,
            timeout=timeout_seconds,
            # After a restart of Postgres every pooled connection is dead at once: keep trying, quickly at first.
            reconnect_timeout=3600,
            configure=database._configure,
            name=f"relayrun-{role}",
        )
        await pool.open()
        watch = asyncio.create_task(database._watch(when_broken), name=f"watch {pool.name}")
        try:
            yield database
        finally:
            watch.cancel()
            await asyncio.wait((watch,))
            await pool.close(timeout=1)

    async def is_broken(
        self, after_seconds: float = _BROKEN_AFTER_SECONDS, answer_seconds: float = _ANSWER_SECONDS
    ) -> bool:
        """Whether the pool has given nobody a connection for so long, and gives none now, though the database answers.

        A database that is away breaks no pool: a new process would not reach it either.
        """
        if self.pool.starved_seconds <= after_seconds:
            return False
        try:
            async with self.pool.connection(answer_seconds):
                return False
        except (psycopg.Error, PoolTimeout):
            return await _answers(self.url)

    async def _watch(self, when_broken: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self.broken = await self.is_broken()
            if self.broken:
                logger.error("%s gives no connection although the database answers", self.pool.name)
                when_broken()

    async def _configure(self, conn: Connection) -> None:
        set_json_dumps(self._dumps, conn)
        self.connections_made += 1
        self._connections.add(conn)

    def descriptors(self) -> list[int]:
        """The sockets of its open connections."""
        return [conn.fileno() for conn in list(self._connections) if not conn.closed]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection from the pool, in autocommit."""
        async with self.pool.connection() as conn:
            yield conn

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[tuple[Connection, psycopg.AsyncPipeline]]:
        """A connection in pipeline mode: what is sent until the next sync is one transaction and one round trip.

        After an error the connection is closed. psycopg counts statements as prepared whose preparation the server
        skipped in the aborted pipeline, and would use them later ("prepared statement does not exist").
        """
        async with self.pool.connection() as conn:
            try:
                async with conn.pipeline() as pipeline:
                    yield conn, pipeline
            except BaseException:
                await conn.close()
                raise

    async def fetch_all(self, query: str, params: Any = ()) -> list[dict[str, Any]]:
        """All rows of one statement, which must be harmless to repeat."""

        async def fetch() -> list[dict[str, Any]]:
            async with self.pool.connection() as conn:
                return await (await conn.execute(query.encode(), params)).fetchall()

        return await self.twice(fetch)

    async def fetch_one(self, query: str, params: Any = ()) -> dict[str, Any] | None:
        """The first row of one statement, which must be harmless to repeat, or None."""

        async def fetch() -> dict[str, Any] | None:
            async with self.pool.connection() as conn:
                return await (await conn.execute(query.encode(), params)).fetchone()

        return await self.twice(fetch)

    async def execute(self, query: str, params: Any = ()) -> int:
        """Run one statement, which must be harmless to repeat; the number of rows it touched is returned."""

        async def run() -> int:
            async with self.pool.connection() as conn:
                return (await conn.execute(query.encode(), params)).rowcount

        return await self.twice(run)

    async def twice(self, call: Callable[[], Awaitable[T]]) -> T:
        """Await `call()`, and once more when its connection turned out to be dead.

        After a restart of the server every idle connection is, and the first call would only find that out. Asking
        each connection before each call would cost a round trip.
        """
        try:
            return await call()
        except psycopg.OperationalError as error:
            # Whoever waited for a connection in vain has waited long enough.
            if isinstance(error, PoolTimeout) or not is_transient(error):
                raise
            await self.pool.check()
            return await call()


async def _answers(url: str) -> bool:
    try:
        async with (
            asyncio.timeout(_ANSWER_SECONDS),
            await psycopg.AsyncConnection.connect(url, connect_timeout=int(_ANSWER_SECONDS)) as connection,
        ):
            await connection.execute("SELECT 1")
    except (psycopg.Error, TimeoutError):
        return False
    return True


def connection_options(role: Role) -> dict[str, Any]:
    """Arguments for a connection of this part of the system."""
    return {
        "autocommit": True,
        "row_factory": dict_row,
        "prepare_threshold": 1,
        "application_name": f"relayrun-{role}",
        "options": f"-c transaction_timeout={_TRANSACTION_TIMEOUT} -c idle_in_transaction_session_timeout=10s",
        "keepalives_idle": 5,
        "tcp_user_timeout": 10_000,
        "connect_timeout": 5,
    }


def is_transient(error: BaseException) -> bool:
    """Whether the database was away or busy, so that the same call may succeed later.

    A pool that was closed opens no more, and what psycopg calls an InterfaceError is our own misuse of it.
    """
    if not isinstance(error, psycopg.Error) or is_closed(error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate != _TIMED_OUT and error.sqlstate[:2] in _TRANSIENT_CLASSES


def is_closed(error: BaseException) -> bool:
    """Whether this process has closed its connections: nothing that needs them ever succeeds here again."""
    return isinstance(error, PoolClosed)


async def breaking_frozen_holders(database: Database, run_id: UUID, attempt: Callable[[], Awaitable[T]]) -> T:
    """Call `attempt`, a transaction that takes the run's exclusive lock within 250 ms.

    When it cannot, the sessions that hold the lock are ended and it is called again: their process may be frozen
    between its fence and its commit, and would hold the lock for minutes. A session that is ended in error fails
    like on a restart of Postgres, and tries again.
    """
    for last in (*[False] * (_LOCK_TRIES - 1), True):
        try:
            return await attempt()
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            if last:
                raise
            row = await database.fetch_one("SELECT relayrun_break_lock(%s) AS ended", (run_id,))
            logger.warning("ended %s sessions that held the lock", row and row["ended"], extra={"run": str(run_id)})
    raise AssertionError("unreachable")
