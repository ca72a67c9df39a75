"""Copies of threads: with all of their checkpoints and as of one moment, which blocks nobody.

One snapshot of the database is copied. A thread on which a run executes is copied as it was when that run began, which
is what its row says and what a rollback goes back to: never the half of a step.
"""

from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.heads import IS_TRUE, MAX_VALUES_BYTES, VALUES, give_copy_its_head
from relayrun_core.db.pool import Connection
from relayrun_core.db.rows import THREAD_COLUMNS, Thread, to_thread
from relayrun_core.errors import ThreadNotFound

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_THREAD = f"""
INSERT INTO threads (thread_id, owner, metadata, config, status, values, output_keys, interrupts, error, graph, agent,
                     ttl_minutes, ttl_strategy, head, head_at, head_by, head_values)
SELECT %(copy)s, owner, metadata, config,
    CASE WHEN status <> 'busy' THEN status
         WHEN error ->> 'error' = 'UserInterrupt' THEN 'interrupted'
         WHEN error ->> 'error' <> 'UserRollback' THEN 'error'
         WHEN jsonb_array_length(interrupts) > 0 THEN 'interrupted'
         ELSE 'idle' END,
    values, output_keys, interrupts, error, graph, agent, ttl_minutes, ttl_strategy,
    CASE WHEN {IS_TRUE} THEN head END, now(), head_by,
    CASE WHEN {IS_TRUE} AND octet_length({VALUES}) <= {MAX_VALUES_BYTES} THEN {VALUES} END
FROM threads t WHERE thread_id = %(source)s RETURNING {THREAD_COLUMNS}"""  # noqa: S608 - our own column names
# At most one unfinished run has begun.
_BASE = """
SELECT run_id, base FROM runs
WHERE thread_id = %s AND status IN ('pending', 'running') AND base IS NOT NULL ORDER BY seq LIMIT 1"""
_CHECKPOINTS = """
INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
SELECT %(copy)s::text, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint,
    CASE WHEN metadata ? 'thread_id' THEN metadata || jsonb_build_object('thread_id', %(copy)s::text) ELSE metadata END
FROM checkpoints
WHERE thread_id = %(source)s::text AND (%(newest)s::text IS NULL OR checkpoint_id <= %(newest)s)"""
# Only what the copied checkpoints refer to: a value of a step under way would stand where the copy's own belongs.
_BLOBS = """
INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
SELECT %(copy)s::text, b.checkpoint_ns, b.channel, b.version, b.type, b.blob
FROM checkpoint_blobs b
JOIN (SELECT DISTINCT c.checkpoint_ns, v.key, v.value
      FROM checkpoints c, jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
      WHERE c.thread_id = %(copy)s::text) AS used
    ON used.checkpoint_ns = b.checkpoint_ns AND used.key = b.channel AND used.value = b.version
WHERE b.thread_id = %(source)s::text"""
_WRITES = """
INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
SELECT %(copy)s::text, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
FROM checkpoint_writes
WHERE thread_id = %(source)s::text AND (%(head)s::text IS NULL OR checkpoint_id < %(head)s)
UNION ALL
SELECT %(copy)s::text, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
FROM run_base_writes WHERE run_id = %(run)s"""


async def copy_thread(database: Database, source: UUID, copy: UUID) -> Thread:
    """Make `copy` a thread of the same owner and with the same state as `source`, and without its runs.

    Raises ThreadNotFound.
    """
    async with database.connection() as conn, conn.transaction():
        await conn.execute(_SNAPSHOT)
        params = {"source": source, "copy": copy, **await _bounds(conn, source)}
        row = await (await conn.execute(_THREAD.encode(), params)).fetchone()
        if row is None:
            raise ThreadNotFound(f"thread with ID {source} not found")
        for statement in (_CHECKPOINTS, _BLOBS, _WRITES):
            await conn.execute(statement.encode(), params)
        await give_copy_its_head(conn, copy)
    return to_thread(row)


async def _bounds(conn: Connection, source: UUID) -> dict[str, Any]:
    """Up to where the thread's checkpoints are copied, and up to where their pending writes; None: all of them."""
    row = await (await conn.execute(_BASE.encode(), (source,))).fetchone()
    if row is None:
        return {"run": None, "newest": None, "head": None}
    base = row["base"]
    return {"run": row["run_id"], "newest": base["high_water"] or "", "head": base["checkpoint_id"] or ""}
