"""A2A tasks: a run with the runs that went on with it, and who is told of their ends."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from relayrun_core.database import Database
from relayrun_core.db.rows import RUN_COLUMNS, to_run
from relayrun_core.runs import Run

#: Receivers of one task.
MOST_RECEIVERS = 10

_OF_TASK = f"""
SELECT {RUN_COLUMNS}, EXISTS (SELECT 1 FROM a2a_canceled c WHERE c.task_id = %(first)s) AS canceled FROM runs r
WHERE r.thread_id = %(thread)s AND (r.run_id = %(first)s OR r.spec #>> '{{metadata,a2a_task_id}}' = %(first)s::text)
ORDER BY r.run_id <> %(first)s, r.seq"""  # noqa: S608 - our own column names
_CANCEL = "INSERT INTO a2a_canceled (task_id) VALUES (%s) ON CONFLICT DO NOTHING"
_ADD = """
SELECT relayrun_add_receiver(%(task)s, %(newest)s, %(id)s, %(url)s, %(config)s, %(most)s) AS taken"""
_RECEIVERS = "SELECT config FROM a2a_receivers WHERE task_id = %s ORDER BY created_at, receiver_id"
_REMOVE = "DELETE FROM a2a_receivers WHERE task_id = %s AND receiver_id = %s"


@dataclass(frozen=True)
class TaskRuns:
    """A task's runs, in order. `canceled`: while it waited for an answer."""

    runs: tuple[Run, ...]
    canceled: bool


async def runs_of_task(database: Database, thread_id: UUID, first: UUID) -> TaskRuns | None:
    """The run that began a task, and those that went on with it; None when the first is gone."""
    rows = await database.fetch_all(_OF_TASK, {"thread": thread_id, "first": first})
    if not rows or rows[0]["run_id"] != first:
        return None
    return TaskRuns(tuple(to_run(row) for row in rows), rows[0]["canceled"])


async def cancel_waiting(database: Database, task_id: UUID) -> None:
    """Record that nobody is to answer a task any more."""
    await database.execute(_CANCEL, (task_id,))


async def add_receiver(
    database: Database, task_id: UUID, newest: UUID, receiver_id: str, url: str, config: dict[str, Any]
) -> bool:
    """Add a receiver or change it; it is told now, if `newest`, the task's last run, has ended. False: too many."""
    params = {"task": task_id, "newest": newest, "id": receiver_id, "url": url, "config": Jsonb(config)}
    row = await database.fetch_one(_ADD, params | {"most": MOST_RECEIVERS})
    return bool(row and row["taken"])


async def receivers_of(database: Database, task_id: UUID) -> list[dict[str, Any]]:
    """The configs of a task's receivers, the oldest first."""
    return [row["config"] for row in await database.fetch_all(_RECEIVERS, (task_id,))]


async def remove_receiver(database: Database, task_id: UUID, receiver_id: str) -> None:
    """Tell this receiver nothing more; also when it is not there."""
    await database.execute(_REMOVE, (task_id, receiver_id))
