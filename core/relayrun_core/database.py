"""Connections to Postgres: one pool for each process and event loop. Statements are in `relayrun_core.db`."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar
from weakref import WeakSet

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import set_json_dumps
from psycopg_pool import PoolClosed, PoolTimeout

from relayrun_core import storable
from relayrun_core.clock import monotonic_seconds
from relayrun_core.connecting import ConnectionSettings
from relayrun_core.db.pool import Connection, Pool

logger = logging.getLogger("relayrun.database")

Role = Literal["api", "runner", "world"]
T = TypeVar("T")

# A runner that is frozen inside a transaction must not hold its locks for long; the claim ends it sooner.
_SESSION = {"transaction_timeout": "60s", "idle_in_transaction_session_timeout": "10s"}
# Postgres tells a client the number of its backend; a pooler gives its clients numbers of its own.
_SET_UNLESS_POOLED = """
SELECT pg_backend_pid() <> %(pid)s AS pooled, CASE WHEN pg_backend_pid() = %(pid)s THEN (
    SELECT count(set_config(name, value, false))
    FROM unnest(%(names)s::text[], %(values)s::text[]) AS given (name, value)
) END"""
_BACKEND = "SELECT pg_backend_pid() AS pid, pg_postmaster_start_time() AS began"
_SET_FOR_TRANSACTION = """
SELECT count(set_config(name, value, true)) FROM unnest(%(names)s::text[], %(values)s::text[]) AS given (name, value)"""
# Classes of SQLSTATE that say nothing about the statement: connection, resources, operator intervention, limits.
_TRANSIENT_CLASSES = ("08", "53", "57", "40")
# A statement that took longer than it may would do so again.
_TIMED_OUT = "57014"
# Longer than any outage of the network within the cluster that mends itself.
_BROKEN_AFTER_SECONDS = 60.0
_WATCH_SECONDS = 5.0
_ANSWER_SECONDS = 5.0


class Database:
    """A pool of autocommit connections with rows as dicts.

    It works through a pooler in transaction mode too (PgBouncer): nothing is left in a session there.
    """

    def __init__(self, where: str | ConnectionSettings) -> None:
        self.pool: Pool
        self.where = ConnectionSettings.of(where)
        self._dumps: Callable[[Any], bytes] = storable.dumps
        self._parameters: Mapping[str, str] = {}
        #: Grows with each new connection: that it grew may mean that the server was restarted.
        self.connections_made = 0
        #: Whether the pool has given nobody a connection for long although the database answers: a new process helps.
        self.broken = False
        #: When a statement last found the disk full, in seconds of the monotonic clock.
        self.disk_full_at = -math.inf
        self._connections: WeakSet[Connection] = WeakSet()
        self._pooled: WeakSet[Connection] = WeakSet()
        # Of a share: how many may be taken at once, and how long to wait for one.
        self._places: asyncio.Semaphore | None = None
        self._wait_seconds = 0.0
        self._backends: set[tuple[int, datetime]] = set()

    @property
    def url(self) -> str:
        """The URL as of now. Raises as `current_url`."""
        return current_url(self.where)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        where: str | ConnectionSettings,
        *,
        role: Role,
        min_size: int = 1,
        max_size: int = 10,
        timeout_seconds: float = 10.0,
        parameters: Mapping[str, str] | None = None,
        when_broken: Callable[[], None] = lambda: None,
        dumps: Callable[[Any], bytes] = storable.dumps,
    ) -> AsyncIterator["Database"]:
        """Open a pool on the running loop; `timeout_seconds` bounds the wait for a free connection.

        `parameters`: more of the server's, which hold for whatever is done with a connection. `when_broken` is called
        while the pool is of no use although the database answers. `dumps` writes psycopg's `Json`s.
        """
        database = cls(where)
        database._dumps = dumps
        database._parameters = parameters or {}
        database.pool = pool = Pool(
            partial(current_url, database.where),
            kwargs=connection_options(role),
            min_size=min_size,
            max_size=max_size,
            timeout=timeout_seconds,
            max_idle=database.where.idle_seconds,
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

    def share(self, most: int, *, wait_seconds: float, parameters: Mapping[str, str]) -> "Database":
        """Return a view that uses at most `most` connections at once, each for one transaction with `parameters`."""
        share = Database(self.where)
        share.pool, share._connections, share._pooled = self.pool, self._connections, self._pooled
        share._parameters = {**self._parameters, **parameters}
        share._places, share._wait_seconds = asyncio.Semaphore(most), wait_seconds
        return share

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
            return await _answers(self.where)

    async def _watch(self, when_broken: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self.broken = await self.is_broken()
            if self.broken:
                logger.error("%s gives no connection although the database answers", self.pool.name)
                when_broken()

    async def _configure(self, conn: Connection) -> None:
        set_json_dumps(self._dumps, conn)
        if await set_up_session(conn, self._parameters):
            self._pooled.add(conn)
        if not (
            self.where.prepared_statements if self.where.prepared_statements is not None else conn not in self._pooled
        ):
            conn.prepare_threshold = None
        self.connections_made += 1
        self._connections.add(conn)

    def descriptors(self) -> list[int]:
        """The sockets of its open connections."""
        return [conn.fileno() for conn in list(self._connections) if not conn.closed]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection from the pool, in autocommit.

        Where it has `parameters` and leads to a pooler, all that is done with it is one transaction.
        """
        try:
            async with self._place(), self.pool.connection(self._wait_seconds or None) as conn:
                if not self._parameters or (conn not in self._pooled and self._places is None):
                    yield conn
                    return
                async with conn.transaction():
                    await conn.execute(_SET_FOR_TRANSACTION.encode(), _named(self._parameters))
                    yield conn
        except psycopg.errors.DiskFull:
            self.disk_full_at = monotonic_seconds()
            raise

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._places is None:
            yield
            return
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise PoolTimeout(f"couldn't get a connection after {self._wait_seconds:.2f} sec") from error
        try:
            yield
        finally:
            self._places.release()

    @asynccontextmanager
    async def connection_of_one_backend(self) -> AsyncIterator[Connection]:
        """A connection that meets one backend of Postgres, which `connections_made` counts where it is a new one.

        A pooler keeps its clients while Postgres restarts: there it is one transaction, which asks whom it has met.
        """
        async with self.connection() as conn:
            if conn not in self._pooled:
                yield conn
                return
            async with conn.transaction():
                row = await (await conn.execute(_BACKEND)).fetchone()
                if row is not None and (backend := (row["pid"], row["began"])) not in self._backends:
                    self._backends.add(backend)
                    self.connections_made += 1
                yield conn

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[tuple[Connection, psycopg.AsyncPipeline]]:
        """A connection in pipeline mode: what is sent until the next sync is one transaction and one round trip.

        After an error the connection is closed. psycopg counts statements as prepared whose preparation the server
        skipped in the aborted pipeline, and would use them later ("prepared statement does not exist").
        """
        async with self.connection_of_one_backend() as conn:
            try:
                async with conn.pipeline() as pipeline:
                    yield conn, pipeline
            except BaseException:
                await conn.close()
                raise

    async def fetch_all(self, query: str, params: Any = ()) -> list[dict[str, Any]]:
        """All rows of one statement, which must be harmless to repeat."""

        async def fetch() -> list[dict[str, Any]]:
            async with self.connection() as conn:
                return await (await conn.execute(query.encode(), params)).fetchall()

        return await self.twice(fetch)

    async def fetch_one(self, query: str, params: Any = ()) -> dict[str, Any] | None:
        """The first row of one statement, which must be harmless to repeat, or None."""

        async def fetch() -> dict[str, Any] | None:
            async with self.connection() as conn:
                return await (await conn.execute(query.encode(), params)).fetchone()

        return await self.twice(fetch)

    async def execute(self, query: str, params: Any = ()) -> int:
        """Run one statement, which must be harmless to repeat; the number of rows it touched is returned."""

        async def run() -> int:
            async with self.connection() as conn:
                return (await conn.execute(query.encode(), params)).rowcount

        return await self.twice(run)

    async def twice(self, call: Callable[[], Awaitable[T]]) -> T:
        """Await `call()`, and retry it once when its connection turns out to be dead.

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


def current_url(where: ConnectionSettings) -> str:
    """Return the current URL. Raises psycopg.OperationalError when there is none, as when the database is away."""
    try:
        return where.read_url()
    except (OSError, ValueError) as error:
        raise psycopg.OperationalError(f"cannot read the database's URL: {error}") from error


async def set_up_session(conn: Connection, parameters: Mapping[str, str]) -> bool:
    """Bound a new session's transactions, and set these parameters of the server's. True: a pooler is in between,
    where sessions are other clients' as well and nothing was set.
    """
    params = {"pid": conn.info.backend_pid, **_named({**_SESSION, **parameters})}
    row = await (await conn.execute(_SET_UNLESS_POOLED.encode(), params, prepare=False)).fetchone()
    return bool(row and row["pooled"])


async def is_pooled(conn: psycopg.AsyncConnection[Any]) -> bool:
    """Return whether a pooler is between this connection and Postgres."""
    row = await (await conn.execute("SELECT pg_backend_pid()", prepare=False)).fetchone()
    return row is not None and conn.info.backend_pid not in (row.values() if isinstance(row, dict) else row)


def _named(parameters: Mapping[str, str]) -> dict[str, list[str]]:
    return {"names": list(parameters), "values": list(parameters.values())}


async def _answers(where: ConnectionSettings) -> bool:
    try:
        async with (
            asyncio.timeout(_ANSWER_SECONDS),
            await psycopg.AsyncConnection.connect(
                current_url(where), connect_timeout=int(_ANSWER_SECONDS)
            ) as connection,
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
        "keepalives_idle": 5,
        "tcp_user_timeout": 10_000,
        "connect_timeout": 5,
    }


def is_transient(error: BaseException) -> bool:
    """Return whether the database was away or busy, so that the same call may succeed later.

    A pool that was closed opens no more, and what psycopg calls an InterfaceError is our own misuse of it. Its own
    InternalError says that answers do not fit what was asked: a connection that broke between two parts of an answer.
    """
    if not isinstance(error, psycopg.Error) or is_closed(error):
        return False
    if error.sqlstate is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InternalError))
    return error.sqlstate != _TIMED_OUT and error.sqlstate[:2] in _TRANSIENT_CLASSES


def is_closed(error: BaseException) -> bool:
    """Return whether this process has closed its connections, so that no call can succeed here again."""
    return isinstance(error, PoolClosed)
