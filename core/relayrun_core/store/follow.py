"""What readers of many journals need: pages bounded in bytes, and one question for all who wait."""

from collections.abc import Mapping
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.store.journal import Event

# octet_length of a stored text reads its header only, so the bound costs no detoasting. The first event always comes.
_PAGE = """
SELECT seq, event, data FROM (
    SELECT seq, event, data, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS before
    FROM run_events WHERE run_id = %s AND seq > %s ORDER BY seq LIMIT %s) AS page
WHERE before < %s ORDER BY seq"""
_NEWS = """
SELECT w.run_id FROM unnest(%s::uuid[], %s::bigint[]) AS w (run_id, seq)
WHERE EXISTS (SELECT 1 FROM run_events e WHERE e.run_id = w.run_id AND e.seq > w.seq)
   OR NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = w.run_id)"""


_NUMBER = "SELECT number FROM runs WHERE run_id = %s"

PAGE_EVENTS = 500
PAGE_BYTES = 1_000_000


async def read_page(
    database: Database, run_id: UUID, after_seq: int, *, limit: int = PAGE_EVENTS, max_bytes: int = PAGE_BYTES
) -> list[Event]:
    """At most `limit` events behind `after_seq`, in order; no more once `max_bytes` are reached."""
    rows = await database.fetch_all(_PAGE, (run_id, after_seq, limit, max_bytes))
    return [Event(row["seq"], row["event"], row["data"].encode()) for row in rows]


def is_full(page: list[Event]) -> bool:
    """Whether the bounds ended the page, so that there may be more behind it."""
    return len(page) >= PAGE_EVENTS or sum(len(event.data) for event in page) >= PAGE_BYTES


async def run_number(database: Database, run_id: UUID) -> int | None:
    """Which run of its thread this is, or None; what event ids are made of."""
    row = await database.fetch_one(_NUMBER, (run_id,))
    return int(row["number"]) if row else None


async def runs_with_news(database: Database, positions: Mapping[UUID, int]) -> list[UUID]:
    """Those of the runs that have events behind the given seq, or do not exist any more."""
    rows = await database.fetch_all(_NEWS, (list(positions), list(positions.values())))
    return [row["run_id"] for row in rows]
