"""The outbox of webhooks: ended runs that somebody wants to be told of. Rows come by a trigger, wherever a run ends.

A row is taken for a while, so that one whose taker died is taken again: at least once. `tries` tells takers apart.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from relayrun_core.database import Database
from relayrun_core.runs import PendingInterrupt, Run
from relayrun_core.store.rows import run_of_json

#: For so long it is tried.
GIVEN_UP_AFTER = timedelta(hours=24)
#: Longer than any try: whoever took a row and is silent for so long is dead.
_TAKEN_FOR = timedelta(seconds=60)

_TAKE = """
UPDATE webhooks w SET next_try = now() + %(taken_for)s, tries = tries + 1
FROM (SELECT run_id FROM webhooks
      WHERE failed_at IS NULL AND next_try <= now() AND host <> ALL(%(busy)s)
      ORDER BY next_try LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS due
WHERE w.run_id = due.run_id
RETURNING w.run_id, w.url, w.host, w.run, w.values, w.interrupts, w.tries, w.created_at"""
_DELIVERED = "DELETE FROM webhooks WHERE run_id = %s"
_PUT_OFF = """
UPDATE webhooks SET problem = left(%(problem)s, 512), next_try = now() + make_interval(secs => %(seconds)s),
    failed_at = CASE WHEN %(final)s OR created_at + %(given_up_after)s < now() + make_interval(secs => %(seconds)s)
                THEN now() END
WHERE run_id = %(run)s AND tries = %(tries)s AND failed_at IS NULL RETURNING failed_at"""
_FORGET_FAILED = "DELETE FROM webhooks WHERE failed_at < now() - %s"


@dataclass(frozen=True)
class Delivery:
    """One try to tell `url` of a run's end. `values` and `questions` are the thread's, as the run left them."""

    run_id: UUID
    url: str
    host: str
    row: dict[str, Any]
    values: Any
    questions: list[dict[str, Any]]
    tries: int
    created_at: datetime

    def run(self) -> Run:
        """The run as it ended."""
        return run_of_json(self.row)

    def interrupts(self) -> list[PendingInterrupt]:
        """What the thread waits for."""
        return [PendingInterrupt(**entry) for entry in self.questions]


async def take_deliveries(database: Database, limit: int, busy_hosts: Collection[str] = ()) -> list[Delivery]:
    """What is due, for this caller alone until a minute from now; nothing for the busy hosts."""
    params = {"taken_for": _TAKEN_FOR, "busy": list(busy_hosts), "limit": limit}
    return [_to_delivery(row) for row in await database.fetch_all(_TAKE, params)]


async def delivered(database: Database, delivery: Delivery) -> None:
    """The receiver has it."""
    await database.execute(_DELIVERED, (delivery.run_id,))


async def put_off(
    database: Database, delivery: Delivery, problem: str, *, seconds: float = 0.0, final: bool = False
) -> bool:
    """It failed, and is tried again in so many seconds; False: it is given up, because this was `final` or long ago."""
    params = {
        "run": delivery.run_id,
        "tries": delivery.tries,
        "problem": problem,
        "seconds": seconds,
        "final": final,
        "given_up_after": GIVEN_UP_AFTER,
    }
    row = await database.fetch_one(_PUT_OFF, params)
    return row is None or row["failed_at"] is None


async def forget_failed(database: Database, older_than: timedelta) -> None:
    """Remove what was given up that long ago."""
    await database.execute(_FORGET_FAILED, (older_than,))


def _to_delivery(row: dict[str, Any]) -> Delivery:
    return Delivery(
        run_id=row["run_id"],
        url=row["url"],
        host=row["host"],
        row=row["run"],
        values=row["values"],
        questions=row["interrupts"],
        tries=row["tries"],
        created_at=row["created_at"],
    )
