"""What who follows a thread by the event protocol needs beside the thread's stream: its turns, and when events came.

A turn is a run with new input and the runs behind it that answer its questions.
"""

from dataclasses import dataclass, field
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.follow import PAGE_BYTES, PAGE_EVENTS, Page
from relayrun_core.db.journal import Event

# By seq, whose index gives numbers in their order too; only few specs are read until one without answers is found.
_TURN = """
SELECT r.number FROM runs r WHERE r.thread_id = %(thread)s AND r.number > 0
    AND coalesce(jsonb_array_length(nullif(r.spec -> 'answers', 'null')), 0) = 0
    AND r.number <= coalesce(
        (SELECT min(u.number) FROM runs u WHERE u.thread_id = %(thread)s AND u.status IN ('pending', 'running')),
        (SELECT max(n.number) FROM runs n WHERE n.thread_id = %(thread)s))
ORDER BY r.seq DESC LIMIT 1"""
_PAGE = """
SELECT seq, event, data, at, (SELECT number FROM runs WHERE run_id = %(run)s) AS number FROM (
    SELECT seq, event, data, (extract(epoch FROM created_at) * 1000)::bigint AS at,
        sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS before
    FROM run_events WHERE run_id = %(run)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s) AS page
WHERE before < %(bytes)s ORDER BY seq"""


@dataclass(frozen=True)
class TimedPage(Page):
    """A page that says when each of its events was written, in milliseconds since 1970."""

    times: list[int] = field(default_factory=list)


async def newest_turn(database: Database, thread_id: UUID) -> int:
    """The number of the first run of the turn that is under way, else of the newest one; 0 when there is none."""
    row = await database.fetch_one(_TURN, {"thread": thread_id})
    return int(row["number"]) if row else 0


async def read_timed_page(database: Database, run_id: UUID, after_seq: int) -> TimedPage | None:
    """As `read_page`, with times."""
    params = {"run": run_id, "after": after_seq, "limit": PAGE_EVENTS, "bytes": PAGE_BYTES}
    rows = await database.fetch_all(_PAGE, params)
    if not rows:
        return None
    events = [Event(row["seq"], row["event"], row["data"].encode()) for row in rows]
    return TimedPage(events, rows[0]["number"], [row["at"] for row in rows])
