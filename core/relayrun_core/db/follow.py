"""What readers of many journals need: pages bounded in bytes, and one question for all who wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.journal import Event

# octet_length of a stored text reads its header only, so the bound costs no detoasting. The first event always comes.
_PAGE = """
SELECT seq, event, data, (SELECT number FROM runs WHERE run_id = %(run)s) AS number FROM (
    SELECT seq, event, data, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS before
    FROM run_events WHERE run_id = %(run)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s) AS page
WHERE before < %(bytes)s ORDER BY seq"""
_NEWEST = """
SELECT e.seq, e.event, r.number FROM run_events e JOIN runs r USING (run_id)
WHERE e.run_id = %s AND e.seq > %s ORDER BY e.seq DESC LIMIT 1"""
_NEWS = """
SELECT w.run_id, e.seq FROM unnest(%s::uuid[], %s::bigint[]) AS w (run_id, seq) CROSS JOIN LATERAL (
    SELECT seq FROM run_events WHERE run_id = w.run_id AND run_events.seq > w.seq ORDER BY seq DESC LIMIT 1) AS e"""


PAGE_EVENTS = 500
# What a reader that stops reading costs is a few times this, and there may be a thousand of them.
PAGE_BYTES = 250_000


@dataclass(frozen=True)
class Page:
    """Some events of a run, in order; `number` says which run of its thread it is, for the events' ids."""

    events: list[Event]
    number: int

    @property
    def full(self) -> bool:
        """Whether the bounds ended the page, so that there may be more behind it."""
        return len(self.events) >= PAGE_EVENTS or sum(len(event.data) for event in self.events) >= PAGE_BYTES


async def read_page(database: Database, run_id: UUID, after_seq: int) -> Page | None:
    """The events behind `after_seq`, at most `PAGE_EVENTS` and no more once `PAGE_BYTES` are reached; None: none."""
    params = {"run": run_id, "after": after_seq, "limit": PAGE_EVENTS, "bytes": PAGE_BYTES}
    rows = await database.fetch_all(_PAGE, params)
    if not rows:
        return None
    return Page([Event(row["seq"], row["event"], row["data"].encode()) for row in rows], rows[0]["number"])


async def read_newest(database: Database, run_id: UUID, after_seq: int) -> Page | None:
    """The run's newest event behind `after_seq` without its data, for who waits for the last one alone."""
    row = await database.fetch_one(_NEWEST, (run_id, after_seq))
    return Page([Event(row["seq"], row["event"], b"")], row["number"]) if row else None


async def newest_events(database: Database, positions: Mapping[UUID, int]) -> dict[UUID, int]:
    """The newest seq of those of the runs that have events behind the given seq."""
    rows = await database.fetch_all(_NEWS, (list(positions), list(positions.values())))
    return {row["run_id"]: row["seq"] for row in rows}
