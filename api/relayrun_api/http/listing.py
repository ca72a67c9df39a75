"""Lists as answers: a small page is one body, a large one is streamed in parts, so that it costs little memory."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import psycopg
from psycopg_pool import PoolTimeout
from starlette.responses import Response

from relayrun_api.http.errors import TooManyAtOnce
from relayrun_api.http.responses import Json, dumps
from relayrun_api.http.shares import Reads
from relayrun_api.http.streamed import Streamed, Truncated
from relayrun_core.db.listing import Listing, keys_of, read_part

T = TypeVar("T")

#: Of a list's JSON in memory, beside one more element.
PART_BYTES = 2_000_000
# Whoever has begun to answer waits for longer than one who could still be refused.
_PATIENCE_SECONDS = 60.0


async def listed(
    reads: Reads,
    who: str,
    listing: Listing[T],
    view: Callable[[T], Awaitable[Any]],
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The page as a list of views. Without `headers` it is looked whether there are more, and said where they begin."""
    asked = replace(listing, limit=listing.limit + 1) if headers is None else listing

    async def render(row: T) -> bytes:
        return dumps(await view(row))

    async with reads.by(who) as database:
        part = await read_part(database, asked, render, PART_BYTES)
        keys = part.keys if part.last else [*part.keys, *_without(await keys_of(database, asked), part.keys)]
    if headers is None:
        headers = _pagination(listing, len(keys))
    rows, left = part.rows[: listing.limit], keys[len(part.keys) : listing.limit]
    if not left:
        return Json(b"[%b]" % b",".join(rows), headers=dict(headers))
    return Streamed(_chunks(reads, who, asked, render, rows, left), media_type="application/json", headers=headers)


def _pagination(listing: Listing[Any], found: int) -> dict[str, str]:
    # How many there are at least: to count them all would cost more than the page.
    headers = {"X-Pagination-Total": str(listing.offset + found)}
    if found > listing.limit:
        headers["X-Pagination-Next"] = str(listing.offset + listing.limit)
    return headers


async def _chunks(
    reads: Reads,
    who: str,
    listing: Listing[T],
    render: Callable[[T], Awaitable[bytes]],
    rows: list[bytes],
    left: list[Any],
) -> AsyncGenerator[bytes]:
    chunk, some = b"[" + b",".join(rows), _as_many_as_fit(rows)
    rows.clear()
    while left:
        yield chunk
        asked = left[:some]
        try:
            # Not while the client takes the chunk before: it may be slow.
            async with reads.by(who, wait_seconds=_PATIENCE_SECONDS) as database:
                part = await read_part(database, listing, render, PART_BYTES, asked)
        except (psycopg.Error, PoolTimeout, TooManyAtOnce) as error:
            raise Truncated from error
        # Those that are gone by now are left out.
        left = _without(left, asked if part.last else part.keys)
        chunk, some = b"".join(b"," + row for row in part.rows), _as_many_as_fit(part.rows)
    yield chunk + b"]"


def _as_many_as_fit(rows: list[bytes]) -> int:
    """How many rows like these a part has: the database shall not make what is then not read."""
    size = sum(map(len, rows))
    return max(1, PART_BYTES * len(rows) // size) if size else 1


def _without(keys: list[Any], taken: list[Any]) -> list[Any]:
    gone = frozenset(taken)
    return [key for key in keys if key not in gone]
