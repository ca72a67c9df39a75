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


async def read_page(
    database: Database, run_id: UUID, after_seq: int, *, limit: int = 500, max_bytes: int = 1_000_000
) -> list[Event]:
    """At most `limit` events behind `after_seq`, in order; no more once `max_bytes` are reached."""
    rows = await database.fetch_all(_PAGE, (run_id, after_seq, limit, max_bytes))
    return [Event(row["seq"], row["event"], row["data"].encode()) for row in rows]


async def runs_with_news(database: Database, positions: Mapping[UUID, int]) -> list[UUID]:
    """Those of the runs that have events behind the given seq, or do not exist any more."""
    rows = await database.fetch_all(_NEWS, (list(positions), list(positions.values())))
    return [row["run_id"] for row in rows]
