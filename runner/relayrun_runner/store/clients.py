"""The store of the graphs for those who ask from outside: by connections of its own, and for a bounded answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg
from langgraph.store.base import Result, SearchOp

from relayrun_core.database import Database
from relayrun_core.db.listing import row_stream
from relayrun_runner.errors import InvalidStoreCall
from relayrun_runner.store.vectors import PatientStore, open_connections

# Clients must not take the connections that nodes need, nor wait as long as nodes may.
_CONNECTIONS = 3
_PATIENCE_SECONDS = 2.0
_LIMITS = "-c statement_timeout=5s"
# As Postgres sends it; what is made of it takes several times as much of the memory that runs need.
_MOST_BYTES = 16_000_000


@asynccontextmanager
async def open_client_store(url: str, store: PatientStore) -> AsyncIterator[tuple["ClientStore", Database]]:
    """The same store for clients, and its connections, which open with first use."""
    async with open_connections(url, _CONNECTIONS, _PATIENCE_SECONDS, _LIMITS) as database:
        index, ttl = store.index_config, store.ttl_config
        yield ClientStore(database.pool, index=index, ttl=ttl, patience_seconds=_PATIENCE_SECONDS), database


class ClientStore(PatientStore):
    """A store whose searches raise InvalidStoreCall for items that are too large together."""

    async def _execute_batch(self, grouped_ops: dict[Any, Any], results: list[Result], conn: Any = None) -> None:
        searches = grouped_ops.get(SearchOp)
        if searches is None:
            await super()._execute_batch(grouped_ops, results, conn)
            return
        # Of a client's call it is the one operation. Rows come one by one outside of a pipeline only.
        async with self._cursor() as cursor:
            await self._batch_search_ops(searches, results, cast("Any", _Bounded(cursor)))


class _Bounded:
    """As much of a cursor as a search uses; it stops at the bound in place of taking all that comes."""

    def __init__(self, cursor: psycopg.AsyncCursor[Any]) -> None:
        self._cursor = cursor
        self._asked: tuple[Any, Any] = ("", None)

    async def execute(self, query: Any, params: Any) -> None:
        self._asked = query, params

    async def fetchall(self) -> list[Any]:
        rows: list[Any] = []
        left = _MOST_BYTES
        async with row_stream(self._cursor, *self._asked) as found:
            async for row in found:
                rows.append(row)
                left -= _length(self._cursor.pgresult)
                if left < 0:
                    raise InvalidStoreCall(
                        f"The items are larger than {_MOST_BYTES} bytes together: send a smaller `limit`."
                    )
        return rows


def _length(row: psycopg.pq.abc.PGresult | None) -> int:
    return sum(len(row.get_value(0, column) or b"") for column in range(row.nfields)) if row else 0
