"""The newest state of each thread as JSON, stored in the transaction of the finish or edit that made it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.db.pool import Connection

#: Of a row of `threads`: whether what is kept is its newest state.
IS_TRUE = "t.head IS NOT NULL AND t.head_at = t.state_updated_at"
#: The state's values, as they were told then; else, with a run's journal gone, as Postgres has them.
VALUES = "coalesce(t.head_values, (SELECT o.values FROM run_outcomes o WHERE o.run_id = t.head_run), t.values::text)"
#: Values of edits and copies are kept as they were told up to this size; beyond it Postgres' own form has to do.
MAX_VALUES_BYTES = 1 << 20
_READ = f"""
SELECT t.status = 'busy' AS busy, t.head, t.head_by, {VALUES} AS values
FROM threads t WHERE t.thread_id = %s AND {IS_TRUE}"""  # noqa: S608 - our own words only
_BLANK = "SELECT NOT EXISTS (SELECT 1 FROM checkpoints WHERE thread_id = %s::text AND checkpoint_ns = '') AS blank"


@dataclass(frozen=True)
class NewestState:
    """A thread's state as of its last finish or edit. `state` is JSON without `values`, which are JSON.

    `busy`: a run is in progress, and may have changed the state since.
    """

    busy: bool
    state: bytes
    values: bytes
    made_by: str | None

    @property
    def has_subgraphs(self) -> bool:
        """Whether a subgraph is among what is next, so that asked with subgraphs the state is another."""
        return any(task["checkpoint"] for task in orjson.loads(self.state)["tasks"])

    def json(self) -> bytes:
        """Return the state as clients see it."""
        return b'{"values":' + self.values + b"," + self.state[1:]

    def marked(self, source: str) -> bytes:
        """The same with `source` in its metadata."""
        state = orjson.loads(self.state)
        state["metadata"] = {**(state.get("metadata") or {}), "source": source}
        return NewestState(self.busy, orjson.dumps(state), self.values, self.made_by).json()


async def newest_state(database: Database, thread_id: UUID) -> NewestState | None:
    """Return the thread's newest state; None when a later change did not store its result."""
    row = await database.fetch_one(_READ, (thread_id,))
    if row is None or row["values"] is None:
        return None
    return NewestState(row["busy"], row["head"].encode(), row["values"].encode(), row["head_by"])


async def is_blank(database: Database, thread_id: UUID) -> bool:
    """Return whether the thread has no state yet."""
    row = await database.fetch_one(_BLANK, (thread_id,))
    return row is None or bool(row["blank"])


def made_by(agent: str, graph: str, build: str) -> str:
    """Return what made a state: another build's graph may show the same checkpoint in another way."""
    return f"{agent}/{graph}@{build}"


async def give_copy_its_head(conn: Connection, copy: UUID) -> None:
    """Have the copied head name the copy's own checkpoints. In the copy's transaction."""
    row = await (await conn.execute(b"SELECT head FROM threads WHERE thread_id = %s", (copy,))).fetchone()
    if row is None or row["head"] is None:
        return
    params = (_of_thread(orjson.loads(row["head"]), str(copy)).decode(), copy)
    await conn.execute(b"UPDATE threads SET head = %s WHERE thread_id = %s", params)


def _of_thread(state: dict[str, Any], thread_id: str) -> bytes:
    checkpoints = [state["checkpoint"], state["parent_checkpoint"], *(task["checkpoint"] for task in state["tasks"])]
    for checkpoint in filter(None, checkpoints):
        checkpoint["thread_id"] = thread_id
    if "thread_id" in (state["metadata"] or {}):
        state["metadata"]["thread_id"] = thread_id
    return orjson.dumps(state)
