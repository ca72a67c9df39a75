"""Rows of a statement one by one, in place of all at once in memory."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus


@asynccontextmanager
async def row_stream(cursor: psycopg.AsyncCursor[Any], query: Any, params: Any) -> AsyncIterator[AsyncIterator[Any]]:
    """The statement's rows as they come. Whoever has enough of them leaves: the statement is cancelled."""
    try:
        async with aclosing(cast("AsyncGenerator[Any]", cursor.stream(query, params))) as rows:
            yield rows
    finally:
        # libpq unlearns to give rows one by one with the next command, unless that is the first one of a pipeline: it
        # would fail with "unexpected result status SINGLE_TUPLE".
        if cursor.connection.info.transaction_status is TransactionStatus.IDLE:
            await cursor.execute(b"")
