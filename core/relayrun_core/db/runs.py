"""Accepts, reads and cancels runs."""

from typing import Any
from uuid import UUID

import orjson
import psycopg

from relayrun_core.database import Database
from relayrun_core.db.fence import breaking_frozen_holders
from relayrun_core.db.identities import Earlier, Identity, meet
from relayrun_core.db.listing import Listing
from relayrun_core.db.metadata_filter import MetadataFilter
from relayrun_core.db.notify import NOTIFY_CREATED, notify
from relayrun_core.db.pool import Connection
from relayrun_core.db.rows import RUN_COLUMNS, to_run
from relayrun_core.errors import (
    CheckpointNotFound,
    ResumeConflict,
    RunFinished,
    RunNotFound,
    ThreadBusyError,
    ThreadInterrupted,
    ThreadNotFound,
)
from relayrun_core.runs import NewRun, Run
from relayrun_core.states import CancelAction, RunStatus

_CREATE = """
SELECT relayrun_create_run_v2(%(run)s, %(thread)s, %(owner)s, %(name)s, %(thread_metadata)s, %(agent)s, %(graph)s,
                              %(assistant)s, %(spec)s, %(create)s, %(not_interrupted)s, %(object)s,
                              make_interval(secs => %(delay_seconds)s), %(peers)s::text[]) AS answer"""
_GET = f"SELECT {RUN_COLUMNS} FROM runs r WHERE r.run_id = %s"  # noqa: S608 - our own column names
_GET_MANY = f"SELECT {RUN_COLUMNS} FROM runs r WHERE r.run_id = ANY(%s)"  # noqa: S608
_NEXT = f"""
SELECT {RUN_COLUMNS} FROM runs r WHERE r.thread_id = %s AND r.number > %s ORDER BY r.number LIMIT 1"""  # noqa: S608
_UNFINISHED = f"SELECT {RUN_COLUMNS} FROM runs r WHERE r.status IN ('pending', 'running') ORDER BY r.seq"  # noqa: S608
_OF_THREAD = """
FROM runs r
WHERE r.thread_id = %(thread)s AND (%(status)s::text[] IS NULL OR r.status = ANY(%(status)s::text[]))
  AND (r.status <> 'cancelled' OR r.cancel_action IS DISTINCT FROM 'rollback')"""
_CANCEL = "SELECT relayrun_cancel(%s, %s) AS answer"
_CHECKPOINT = "SELECT 1 AS there FROM checkpoints WHERE thread_id = %s AND checkpoint_ns = '' AND checkpoint_id = %s"
# Of the migration that refuses such runs.
_DELETED = "RR003"
_DELETE = """
WITH gone AS (DELETE FROM runs WHERE run_id = %s AND finished_at IS NOT NULL RETURNING run_id, object),
    kept AS (INSERT INTO deleted_runs (run_id) SELECT run_id FROM gone WHERE object IS NOT NULL ON CONFLICT DO NOTHING)
SELECT count(*) AS runs FROM gone"""
# Two arms, so that each finds its partial index.
_UNFINISHED_OF = """
SELECT run_id, seq FROM (
    SELECT run_id, seq, status, owner, thread_id FROM runs WHERE status IN ('pending', 'running')
    UNION ALL SELECT run_id, seq, status, owner, thread_id FROM runs WHERE status = 'delayed') AS r
WHERE status = ANY(%(status)s) AND (%(any_owner)s OR owner IS NOT DISTINCT FROM %(owner)s) AND seq > %(after)s
  AND {visible}
ORDER BY seq LIMIT %(limit)s"""

_ON_VISIBLE_THREAD = "EXISTS (SELECT 1 FROM threads t WHERE t.thread_id = r.thread_id AND {condition})"

_REFUSALS: dict[str, tuple[type[Exception], str]] = {
    "ThreadNotFound": (ThreadNotFound, "thread or assistant not found: create thread {thread} first"),
    "ThreadBusy": (
        ThreadBusyError,
        "thread {thread} is already running a task: wait for it, or use another strategy",
    ),
    "ThreadInterrupted": (ThreadInterrupted, "thread {thread} waits for an answer: send `resume`"),
    "ResumeConflict": (
        ResumeConflict,
        "thread {thread} has no question to bind this answer to: look at its interrupts and name one by its id",
    ),
}


async def create_run(database: Database, new: NewRun) -> None:
    """Accept a run: once this returns, it will be executed, whatever dies. A second call with its id changes nothing.

    Raises ThreadNotFound, ThreadBusyError (strategy reject), ThreadInterrupted or ResumeConflict.
    """
    params = run_params(new)

    async def create() -> dict[str, Any] | None:
        async with database.connection() as conn:
            row = await (await conn.execute(_CREATE.encode(), params)).fetchone()
            # A transaction of its own: the hint must not be part of the commit that makes the run durable.
            if not new.delay_seconds:
                await conn.execute(NOTIFY_CREATED.encode(), (new.run_id, new.thread_id))
            return row

    row = await database.twice(create)
    raise_refusal(row["answer"] if row else "ThreadNotFound", new)


async def create_within(conn: Connection, new: NewRun) -> str:
    """Accept a run in the caller's transaction. Returns an answer for `raise_refusal`. The caller sends the hint."""
    row = await (await conn.execute(_CREATE.encode(), run_params(new))).fetchone()
    return row["answer"] if row else "ThreadNotFound"


def run_params(new: NewRun) -> dict[str, Any]:
    """Return the parameters that all statements that accept a run share."""
    return {
        "run": new.run_id,
        "thread": new.thread_id,
        "owner": new.owner,
        "name": new.thread_name,
        "thread_metadata": orjson.dumps(new.thread_metadata).decode(),
        "agent": new.agent,
        "graph": new.graph,
        "assistant": new.assistant_id,
        "spec": orjson.dumps(new.spec.model_dump(mode="json", exclude_defaults=False)).decode(),
        "create": new.if_not_exists == "create",
        "not_interrupted": new.require_not_interrupted,
        "object": orjson.dumps(new.object).decode() if new.object else None,
        "delay_seconds": new.delay_seconds,
        "peers": list(new.peers) or None,
    }


def raise_refusal(answer: str, new: NewRun) -> None:
    """Raise the exception for the database's `answer` to a new run; nothing for Created."""
    if answer != "Created":
        kind, sentence = _REFUSALS[answer]
        raise kind(sentence.format(thread=new.thread_name or new.thread_id))


async def ensure_run(database: Database, new: NewRun, spec_hash: str | None = None) -> Earlier | None:
    """Accept a run whose payload came with its AgentRun, unless it was accepted before.

    An AgentRun that was there before, of the same name and `spec_hash`, is not executed again: its run is returned.
    Raises as `create_run` does, RunNotFound for one that was deleted with its thread, and CheckpointNotFound where it
    names a checkpoint that its thread has not: LangGraph would begin with an empty state in its place.
    """
    if await get_run(database, new.run_id) is not None:
        return None

    async def accept() -> Earlier | None:
        async with database.connection() as conn:
            async with conn.transaction():
                if new.object is not None and spec_hash is not None:
                    earlier = await meet(conn, Identity(new.object, spec_hash), new.run_id)
                    if earlier is not None:
                        return earlier
                await _require_checkpoint(conn, new)
                raise_refusal(await create_within(conn, new), new)
            await conn.execute(NOTIFY_CREATED.encode(), (new.run_id, new.thread_id))
            return None

    try:
        return await database.twice(accept)
    except (psycopg.errors.UniqueViolation, ThreadBusyError, ThreadInterrupted, ResumeConflict):
        # Somebody else may have accepted it since, and then it is itself what keeps the thread busy.
        if await get_run(database, new.run_id) is None:
            raise
        return None
    except psycopg.Error as error:
        if error.sqlstate != _DELETED:
            raise
        raise RunNotFound(f"run {new.run_id} was deleted with its thread") from error


async def _require_checkpoint(conn: Connection, new: NewRun) -> None:
    if (wanted := new.spec.checkpoint_id) is None:
        return
    if await (await conn.execute(_CHECKPOINT.encode(), (str(new.thread_id), wanted))).fetchone() is None:
        raise CheckpointNotFound(
            f"the thread has no checkpoint {wanted}: its history lists the checkpoints that it has"
        )


async def get_run(database: Database, run_id: UUID) -> Run | None:
    """Return the run, or None."""
    row = await database.fetch_one(_GET, (run_id,))
    return to_run(row) if row else None


async def next_run(database: Database, thread_id: UUID, number: int) -> Run | None:
    """Return the first of a thread's runs behind the one with this number, or None."""
    row = await database.fetch_one(_NEXT, (thread_id, number))
    return to_run(row) if row else None


async def get_runs(database: Database, run_ids: list[UUID]) -> list[Run]:
    """Return those of the runs that exist, in no order."""
    return [to_run(row) for row in await database.fetch_all(_GET_MANY, (run_ids,))]


async def unfinished_runs(database: Database) -> list[Run]:
    """Return all pending and running runs, in the order of their acceptance."""
    return [to_run(row) for row in await database.fetch_all(_UNFINISHED)]


async def list_runs(
    database: Database,
    thread_id: UUID,
    *,
    status: list[RunStatus] | None = None,
    limit: int = 10,
    offset: int = 0,
) -> list[Run]:
    """A thread's runs, newest first, without those that were rolled back."""
    listing = runs_found(thread_id, status=status, limit=limit, offset=offset)
    rows = await database.fetch_all(listing.statement(listing.columns), listing.with_params())
    return [to_run(row) for row in rows]


def runs_found(
    thread_id: UUID, *, status: list[RunStatus] | None = None, limit: int = 10, offset: int = 0
) -> Listing[Run]:
    """The same, to be read in parts."""
    params = {"thread": thread_id, "status": status}
    return Listing(RUN_COLUMNS, _OF_THREAD, "r.run_id", "r.seq DESC", params, limit, offset, to_run)


async def unfinished_run_ids(
    database: Database,
    status: list[RunStatus],
    *,
    owner: str | None,
    any_owner: bool,
    visible: MetadataFilter | None = None,
    after_seq: int = 0,
    limit: int = 500,
) -> list[tuple[int, UUID]]:
    """The seq and id of unfinished runs of these states, of one owner or of all, in the order of seq.

    `visible` is about their threads.
    """
    condition, more = visible.sql("t.metadata") if visible else ("true", {})
    if visible:
        condition = _ON_VISIBLE_THREAD.format(condition=condition)
    params: dict[str, Any] = {"status": status, "owner": owner, "any_owner": any_owner, "after": after_seq, **more}
    rows = await database.fetch_all(_UNFINISHED_OF.format(visible=condition), params | {"limit": limit})
    return [(row["seq"], row["run_id"]) for row in rows]


async def request_cancel(database: Database, run_id: UUID, action: CancelAction) -> None:
    """Accept a cancel. A waiting run has ended when this returns; a running one ends within its grace period.

    Raises RunNotFound, or RunFinished when the run had ended before.
    """

    async def attempt() -> dict[str, Any] | None:
        return await database.fetch_one(_CANCEL, (run_id, action.value))

    row = await breaking_frozen_holders(database, run_id, attempt)
    match row and row["answer"]:
        case "NotFound":
            raise RunNotFound(f"run not found: {run_id}")
        case "AlreadyFinished":
            raise RunFinished(f"run {run_id} has ended already: there is nothing to cancel")
        case _:
            await notify(database, run_id)


async def delete_run(database: Database, run_id: UUID) -> bool:
    """Delete a finished run and its journal. Returns False when it does not exist or has not finished."""
    row = await database.fetch_one(_DELETE, (run_id,))
    return bool(row and row["runs"])
