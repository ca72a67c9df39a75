"""The graphs' store for clients: with a share of its connections, and with bounded answers."""

from typing import Any

import psycopg
from langgraph.store.base import Result, SearchOp
from psycopg.rows import dict_row

from relayrun_core.database import Database
from relayrun_core.db.listing import row_stream
from relayrun_runner.errors import InvalidStoreCall
from relayrun_runner.langgraph_internals import search_with
from relayrun_runner.store.vectors import RetryingStore

# Clients must not take the connections that nodes need, nor wait as long as nodes may.
_AT_ONCE = 1
_RETRY_SECONDS = 2.0
_LIMITS = {"statement_timeout": "5s"}
# As Postgres sends it; what is made of it takes several times as much of the memory that runs need.
_MOST_BYTES = 16_000_000


def client_store(store: RetryingStore) -> "ClientStore":
    """The same store for clients, on a share of its connections."""
    share = store.database.share(_AT_ONCE, wait_seconds=_RETRY_SECONDS, parameters=_LIMITS)
    return ClientStore(share, index=store.index_config, ttl=store.ttl_config, retry_seconds=_RETRY_SECONDS)


class ClientStore(RetryingStore):
    """A store whose searches raise InvalidStoreCall for items that are too large together."""

    async def _execute_batch(self, grouped_ops: dict[Any, Any], results: list[Result], conn: Any = None) -> None:
        searches = grouped_ops.get(SearchOp)
        if searches is None:
            await super()._execute_batch(grouped_ops, results, conn)
            return
        # Of a client's call it is the one operation.
        await search_with(self, searches, results, _Bounded(self.database))


class _Bounded:
    """As much of a cursor as a search uses; it stops at the bound in place of taking all that comes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: tuple[Any, Any] = ("", None)

    async def execute(self, query: Any, params: Any) -> None:
        self._asked = query, params

    async def fetchall(self) -> list[Any]:
        rows: list[Any] = []
        left = _MOST_BYTES
        # Rows come one by one outside of a pipeline only.
        async with (
            self._database.connection() as conn,
            conn.cursor(binary=True, row_factory=dict_row) as cursor,
            row_stream(cursor, *self._asked) as found,
        ):
            async for row in found:
                rows.append(row)
                left -= _length(cursor.pgresult)
                if left < 0:
                    raise InvalidStoreCall(
                        f"The items are larger than {_MOST_BYTES} bytes together: send a smaller `limit`."
                    )
        return rows


def _length(row: psycopg.pq.abc.PGresult | None) -> int:
    return sum(len(row.get_value(0, column) or b"") for column in range(row.nfields)) if row else 0
