"""How much of the database a thread takes."""

from dataclasses import dataclass
from uuid import UUID

from relayrun_core.database import Database

#: Of each table so many rows are looked at: a thread may have millions.
MOST_ROWS = 10_000

# As stored: compressed, and without the indexes.
_STORAGE = """
WITH kept AS (
    SELECT checkpoint_ns = '' AS root, pg_column_size(checkpoint) + pg_column_size(metadata) AS size
    FROM checkpoints WHERE thread_id = %(thread)s::text LIMIT %(most)s
), contents AS (
    SELECT coalesce(pg_column_size(blob), 0) AS size
    FROM checkpoint_blobs WHERE thread_id = %(thread)s::text LIMIT %(most)s
), pending AS (
    SELECT coalesce(pg_column_size(blob), 0) AS size
    FROM checkpoint_writes WHERE thread_id = %(thread)s::text LIMIT %(most)s
), told AS (
    SELECT pg_column_size(e.data) AS size
    FROM runs r JOIN run_events e USING (run_id) WHERE r.thread_id = %(thread)s LIMIT %(most)s
)
SELECT (SELECT count(*) FILTER (WHERE root) FROM kept) AS checkpoints,
    (SELECT count(*) FROM kept) AS kept, (SELECT count(*) FROM contents) AS contents,
    (SELECT count(*) FROM pending) AS pending, (SELECT count(*) FROM told) AS events,
    coalesce((SELECT sum(size) FROM kept), 0) + coalesce((SELECT sum(size) FROM contents), 0)
        + coalesce((SELECT sum(size) FROM pending), 0) AS state_bytes,
    coalesce((SELECT sum(size) FROM told), 0) AS event_bytes"""


@dataclass(frozen=True)
class ThreadStorage:
    """What a thread has in the database. Not `complete`: it has more rows than were looked at."""

    checkpoints: int
    state_bytes: int
    events: int
    event_bytes: int
    complete: bool


async def thread_storage(database: Database, thread_id: UUID) -> ThreadStorage:
    """Measure a thread."""
    row = await database.fetch_one(_STORAGE, {"thread": thread_id, "most": MOST_ROWS})
    assert row is not None
    complete = max(row["kept"], row["contents"], row["pending"], row["events"]) < MOST_ROWS
    return ThreadStorage(row["checkpoints"], int(row["state_bytes"]), row["events"], int(row["event_bytes"]), complete)
