"""The outbox of webhooks: ended runs whose end is to be delivered. A trigger adds rows, wherever a run ends.

A worker takes a row for a while. If it dies, another worker takes the row: delivery is at least once. `tries` tells
workers apart.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from relayrun_core.database import Database
from relayrun_core.db.rows import run_of_json
from relayrun_core.runs import PendingInterrupt, Run

#: For so long it is tried.
GIVEN_UP_AFTER = timedelta(hours=24)
#: Longer than any try: whoever took a row and is silent for so long is dead.
_TAKEN_FOR = timedelta(seconds=60)

_TAKE = "SELECT * FROM relayrun_take_webhooks(%(taken_for)s, %(limit)s, %(each)s, %(busy)s, %(hosts)s)"
_DELIVERED = "DELETE FROM webhooks WHERE run_id = %s"
_PUT_OFF = """
UPDATE webhooks SET problem = left(%(problem)s, 512), next_try = now() + make_interval(secs => %(seconds)s),
    failed_at = CASE WHEN %(final)s OR created_at + %(given_up_after)s < now() + make_interval(secs => %(seconds)s)
                THEN now() END
WHERE run_id = %(run)s AND tries = %(tries)s AND failed_at IS NULL RETURNING failed_at"""
_FORGET_FAILED = "DELETE FROM webhooks WHERE failed_at < now() - %s"


@dataclass(frozen=True)
class Delivery:
    """One try to deliver a run's end to `url`. `owner` is empty for runs without one; `values` and `questions` are the
    thread's, as the run left them.
    """

    run_id: UUID
    owner: str
    url: str
    host: str
    row: dict[str, Any]
    values: Any
    questions: list[dict[str, Any]]
    tries: int
    created_at: datetime
    #: Of an A2A task: its receiver's config. None: of a run's `webhook`.
    push: dict[str, Any] | None = None

    def run(self) -> Run:
        """The run as it ended."""
        return run_of_json(self.row)

    def interrupts(self) -> list[PendingInterrupt]:
        """What the thread waits for."""
        return [PendingInterrupt(**entry) for entry in self.questions]


@dataclass(frozen=True)
class Busy:
    """How many of an owner's deliveries are in progress, and the hosts that take no more of them now."""

    under_way: int
    hosts: list[str]


NOBODY_BUSY: Mapping[str, Busy] = MappingProxyType({})


async def take_deliveries(
    database: Database,
    limit: int,
    each: int | None = None,
    busy: Mapping[str, Busy] = NOBODY_BUSY,
    busy_hosts: Collection[str] = (),
) -> list[Delivery]:
    """Take due deliveries for this caller alone, for a minute. Owners take turns: all first ones, then all second ones.

    `busy`: what the caller is under way with, by owner, who has at most `each` at once. Nothing for the busy hosts.
    """
    params = {
        "taken_for": _TAKEN_FOR,
        "limit": limit,
        "each": limit if each is None else each,
        "busy": Jsonb({owner: asdict(what) for owner, what in busy.items()}),
        "hosts": list(busy_hosts),
    }
    return [_to_delivery(row) for row in await database.fetch_all(_TAKE, params)]


async def delivered(database: Database, delivery: Delivery) -> None:
    """Record that the receiver has it."""
    await database.execute(_DELIVERED, (delivery.run_id,))


async def put_off(
    database: Database, delivery: Delivery, problem: str, *, seconds: float = 0.0, final: bool = False
) -> bool:
    """Record a failure and retry after so many seconds. Returns False when it is given up, as `final` or too old."""
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
    """Remove deliveries that were given up that long ago."""
    await database.execute(_FORGET_FAILED, (older_than,))


def _to_delivery(row: dict[str, Any]) -> Delivery:
    return Delivery(
        run_id=row["run_id"],
        owner=row["owner"],
        url=row["url"],
        host=row["host"],
        row=row["run"],
        values=row["values"],
        questions=row["interrupts"],
        tries=row["tries"],
        created_at=row["created_at"],
        push=row["push"],
    )
