"""Claim and release: which attempt holds a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from relayrun_core.database import Database
from relayrun_core.db.fence import breaking_frozen_holders, is_stale
from relayrun_core.db.journal import Event, append
from relayrun_core.db.notify import EVENTS_CHANNEL, NOTIFY, notify
from relayrun_core.db.rows import RUN_COLUMNS, to_run
from relayrun_core.runs import Run

# An attempt that was there before the server's start could not write for a while: that it made no progress is not its
# fault. A run that kills its runners is excused so once for each start of the server.
_OUTLASTED = """
EXISTS (SELECT 1 FROM run_attempts
        WHERE run_id = %(run)s AND ended_at IS NULL AND claimed_at < pg_postmaster_start_time())"""
_CLAIM = f"""
SELECT c.answer, c.detail, {RUN_COLUMNS}
FROM relayrun_claim_v2(%(run)s, %(attempt)s, %(holder)s, %(runner)s, %(excused)s OR {_OUTLASTED}, %(alone)s,
                       %(announce)s, %(revision)s, %(pinned)s) AS c
    CROSS JOIN LATERAL (SELECT (c.run).*) AS r"""  # noqa: S608 - our own column names
_RELEASE = "SELECT relayrun_release(%s, %s) AS released"
# A runner's SIGTERM may come from the deletion of the run's AgentRun, which only the reconciler can tell from a drain.
_LOOK_SOON = "UPDATE runs SET look_after = NULL WHERE run_id = %s AND status = 'pending'"


@dataclass(frozen=True)
class Claim:
    """A runner's request to execute a run.

    `holder` names the runner *process*. `excused`: the runner before was drained or deleted, so its attempt is not
    counted as a failure. `alone`: nothing else runs on this runner. `announce`: the attempt's `metadata` event is
    journaled in the same commit, and readers are told. `revision` is the runner's; `pinned`: a run or thread that began
    under another one is not taken.
    """

    run_id: UUID
    attempt: int
    holder: UUID
    runner: str
    excused: bool = False
    alone: bool = False
    announce: bool = False
    revision: str | None = None
    pinned: bool = False


@dataclass(frozen=True)
class Claimed:
    """The attempt holds the run now."""

    run: Run


@dataclass(frozen=True)
class Finished:
    """The run has ended; `run` says how."""

    run: Run


@dataclass(frozen=True)
class Stale:
    """A newer attempt exists."""

    attempt: int


@dataclass(frozen=True)
class ThreadBusy:
    """An older run of the thread is unfinished."""

    by: UUID


@dataclass(frozen=True)
class BackOff:
    """The run waits: for `seconds`, and, when it is a suspect, for a runner of its own. `attempt` is the newest."""

    seconds: float
    suspect: bool
    attempt: int


@dataclass(frozen=True)
class WrongRevision:
    """The run, or its open thread, began under this revision."""

    revision: str


@dataclass(frozen=True)
class NotFound:
    """There is no such run."""


Answer = Claimed | Finished | Stale | ThreadBusy | BackOff | WrongRevision | NotFound


async def claim(database: Database, request: Claim) -> Answer:
    """Claim the run. Idempotent for the same holder and attempt. Ends frozen sessions that hold the run's lock."""
    params = {
        "run": request.run_id,
        "attempt": request.attempt,
        "holder": request.holder,
        "runner": request.runner,
        "excused": request.excused,
        "alone": request.alone,
        "announce": request.announce,
        "revision": request.revision,
        "pinned": request.pinned,
    }

    async def attempt() -> dict[str, Any] | None:
        async with database.connection() as conn:
            row = await (await conn.execute(_CLAIM.encode(), params)).fetchone()
            if request.announce and row and row["answer"] == "Claimed":
                await conn.execute(NOTIFY.encode(), (EVENTS_CHANNEL, request.run_id))
            return row

    row = await breaking_frozen_holders(database, request.run_id, lambda: database.twice(attempt))
    if row is None or row["run_id"] is None:
        return NotFound()
    detail = row["detail"]
    match row["answer"]:
        case "Claimed":
            return Claimed(to_run(row))
        case "Finished":
            await notify(database, request.run_id)
            return Finished(to_run(row))
        case "Stale":
            return Stale(detail["attempt"])
        case "ThreadBusy":
            return ThreadBusy(UUID(detail["by"]))
        case "BackOff":
            return BackOff(float(detail["seconds"]), detail["suspect"], detail["attempt"])
        case "WrongRevision":
            return WrongRevision(detail["revision"])
        case _:
            return NotFound()


async def release(database: Database, run_id: UUID, attempt: int, events: Sequence[Event] = ()) -> bool:
    """Give back a run that a draining runner stopped between two steps, after its last `events`.

    Returns False when the attempt did not hold it.
    """

    async def release_once() -> dict[str, Any] | None:
        async with database.connection() as conn:
            if events:
                await append(conn, run_id, attempt, events)
            row = await (await conn.execute(_RELEASE.encode(), (run_id, attempt))).fetchone()
            await conn.execute(_LOOK_SOON.encode(), (run_id,))
            return row

    try:
        row = await breaking_frozen_holders(database, run_id, lambda: database.twice(release_once))
    except psycopg.Error as error:
        if not is_stale(error):
            raise
        row = None
    await notify(database, run_id)
    return bool(row and row["released"])


__all__ = [
    "Answer", "BackOff", "Claim", "Claimed", "Finished", "NotFound", "Stale", "ThreadBusy", "WrongRevision", "claim",
    "release",
]  # fmt: skip
