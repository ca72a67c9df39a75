"""Pages of rows that may be large: read one row after the other, in parts that are bounded in bytes.

A page that fits into one part is one statement. What is left of a larger one is named by its keys, so that no row comes
twice or is skipped because others were changed meanwhile, and no connection is held while a client takes its time.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus

from relayrun_core.database import Database

T = TypeVar("T")


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A page of what `found` finds, which is SQL from FROM on to its last condition. `make` makes something of a row's
    `columns`, `key` names a row, and `order` ends with what no two rows share.
    """

    columns: str
    found: str
    key: str
    order: str
    params: Mapping[str, Any]
    limit: int
    offset: int
    make: Callable[[dict[str, Any]], T]
    #: Tables that `found` has from a WITH.
    tables: str = ""
    #: What there is when nothing is found.
    otherwise: Sequence[T] = ()

    def statement(self, columns: str, condition: str = "") -> str:
        """The page's, or that of those of all rows that a further condition leaves."""
        paged = "LIMIT %(limit)s OFFSET %(offset)s" if not condition else ""
        return f"{self.tables} SELECT {columns} {self.found} {condition} ORDER BY {self.order} {paged}"

    def with_params(self, **more: Any) -> dict[str, Any]:
        """The statement's parameters."""
        return {**self.params, "limit": self.limit, "offset": self.offset, **more}


@dataclass(frozen=True)
class Part:
    """Rows of a page, rendered, and their keys; `last`: the page has no more."""

    rows: list[bytes]
    keys: list[Any]
    last: bool


async def read_part(
    database: Database,
    listing: Listing[T],
    render: Callable[[T], Awaitable[bytes]],
    most_bytes: int,
    keys: Sequence[Any] | None = None,
) -> Part:
    """The page's first rows, or the first of those with these keys, until they have so many bytes; at least one."""

    async def read() -> Part:
        part = Part([], [], last=True)
        size = 0
        async with aclosing(_rows(database, listing, keys)) as rows:
            async for key, row in rows:
                if size >= most_bytes:
                    return Part(part.rows, part.keys, last=False)
                part.rows.append(await render(row))
                part.keys.append(key)
                size += len(part.rows[-1])
        if not part.rows and keys is None and not listing.offset:
            part.rows.extend([await render(row) for row in listing.otherwise])
        return part

    return await database.twice(read)


async def keys_of(database: Database, listing: Listing[T]) -> list[Any]:
    """The keys of all of the page's rows, in order."""
    statement = listing.statement(f"{listing.key} AS listed_key")
    return [row["listed_key"] for row in await database.fetch_all(statement, listing.with_params())]


async def _rows(database: Database, listing: Listing[T], keys: Sequence[Any] | None) -> AsyncGenerator[tuple[Any, T]]:
    condition = "" if keys is None else f"AND {listing.key} = ANY(%(listed_keys)s)"
    statement = listing.statement(f"{listing.key} AS listed_key, {listing.columns}", condition)
    params = listing.with_params() if keys is None else listing.with_params(listed_keys=list(keys))
    # Planned each time: whether a filter is rare, and so which index is right, depends on its value.
    async with (
        database.connection() as conn,
        conn.cursor() as cursor,
        row_stream(cursor, statement.encode(), params) as rows,
    ):
        async for row in rows:
            yield row.pop("listed_key"), listing.make(row)


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
