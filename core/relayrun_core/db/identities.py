"""AgentRuns that were there before: each namespace, name and spec is executed once, whatever UID its object has."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.db.pool import Connection
from relayrun_core.db.rows import RUN_COLUMNS, to_run
from relayrun_core.runs import ObjectRef, Run
from relayrun_core.states import Reason

# The row is locked from here on: whoever comes with the same identity waits for this transaction.
_MEET = """
INSERT INTO agentrun_identities AS i (namespace, name, spec_hash, run_id)
VALUES (%(namespace)s, %(name)s, %(spec_hash)s, %(run)s)
ON CONFLICT (namespace, name, spec_hash) DO UPDATE SET seen_at = now()
RETURNING i.run_id, i.reason"""
# A statement of its own, so that it sees what the transaction before made.
_EARLIER = f"""
SELECT {RUN_COLUMNS}, EXISTS (SELECT 1 FROM runs l WHERE l.thread_id = r.thread_id AND l.seq > r.seq
                                AND l.started_at IS NOT NULL) AS continued
FROM runs r WHERE r.run_id = %s"""  # noqa: S608 - our own column names
_TAKE_OVER = """
UPDATE agentrun_identities SET run_id = %(run)s
WHERE namespace = %(namespace)s AND name = %(name)s AND spec_hash = %(spec_hash)s"""
_CANCELLED = """
INSERT INTO agentrun_identities (namespace, name, spec_hash, run_id, reason)
VALUES (%(namespace)s, %(name)s, %(spec_hash)s, %(run)s, %(reason)s) ON CONFLICT DO NOTHING"""
_KNOWN = """
SELECT 1 FROM agentrun_identities i
WHERE i.namespace = %(namespace)s AND i.name = %(name)s AND i.spec_hash = %(spec_hash)s AND i.run_id <> %(run)s
  AND (i.reason IS NOT NULL OR EXISTS (SELECT 1 FROM runs r WHERE r.run_id = i.run_id))"""
_FORGET = "DELETE FROM agentrun_identities WHERE seen_at < now() - %s"


@dataclass(frozen=True)
class Identity:
    """What tells an AgentRun from others, also from those of its name: a hash of its spec."""

    object: ObjectRef
    spec_hash: str

    def params(self, run_id: UUID) -> dict[str, Any]:
        """As the statements have it."""
        whose = self.object
        return {"namespace": whose.namespace, "name": whose.name, "spec_hash": self.spec_hash, "run": run_id}


@dataclass(frozen=True)
class Earlier:
    """The run of an AgentRun that had the same identity. `run` None: it was deleted, after it had ended for `reason`.

    `continued`: a later run of its thread has begun.
    """

    run_id: UUID
    run: Run | None
    reason: Reason | None
    continued: bool = False


async def meet(conn: Connection, identity: Identity, run_id: UUID) -> Earlier | None:
    """Take the identity for the run, in the caller's transaction; or return the run that has it."""
    params = identity.params(run_id)
    row = await (await conn.execute(_MEET.encode(), params)).fetchone()
    if row is None or row["run_id"] == run_id:
        return None
    run_before, reason = row["run_id"], row["reason"]
    found = await (await conn.execute(_EARLIER.encode(), (run_before,))).fetchone()
    if found is not None:
        return Earlier(
            run_before, to_run(found), Reason(found["reason"]) if found["reason"] else None, found["continued"]
        )
    if reason is not None:
        return Earlier(run_before, None, Reason(reason))
    await conn.execute(_TAKE_OVER.encode(), params)  # what had it was never accepted
    return None


async def is_known(database: Database, identity: Identity, run_id: UUID) -> bool:
    """Whether an AgentRun of this identity was there before, with another run."""
    return await database.fetch_one(_KNOWN, identity.params(run_id)) is not None


async def note_cancelled(database: Database, identity: Identity, run_id: UUID) -> None:
    """The AgentRun was cancelled before any runner had it: one that comes again is not executed."""
    await database.execute(_CANCELLED, identity.params(run_id) | {"reason": Reason.CANCELLED.value})


async def forget_identities(database: Database, unseen: timedelta) -> None:
    """Forget the AgentRuns that nobody has made again for so long."""
    await database.execute(_FORGET, (unseen,))
