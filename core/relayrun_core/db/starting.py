"""Starts runs, under the caller's rate limit, and once for each idempotency key.

All of it is one statement, also for several runs: replicas share the count, and a crash leaves either everything
or nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from relayrun_core.database import Database
from relayrun_core.db.fence import breaking_frozen_holders
from relayrun_core.db.notify import (
    EVENTS_CHANNEL,
    NOTIFY_BOTH,
    NOTIFY_CREATED,
    NOTIFY_MANY,
    RUNS_CHANNEL,
    many_params,
    notify_params,
)
from relayrun_core.db.runs import create_run, raise_refusal, run_params
from relayrun_core.runs import NewRun

#: For so long a key stands for its first request.
KEY_LIFETIME = timedelta(hours=24)
# More than the lifetime, so that a key which a start looks at is not removed beneath it.
_KEYS_KEPT = timedelta(hours=25)

_START = """
SELECT answer, runs, remaining, seconds
FROM relayrun_start_runs(%(runs)s, %(subject)s, %(limit)s, %(window)s, %(key_owner)s, %(key)s, %(fingerprint)s)"""
#: Parameters that are JSON already.
_WRITTEN = ("thread_metadata", "spec", "object")
_OF_KEY = "SELECT run_id FROM idempotency_keys WHERE owner = %s AND key = %s"
_FORGET_STARTS = "DELETE FROM run_starts WHERE started_at < now() - %s"
_FORGET_KEYS = "DELETE FROM idempotency_keys WHERE created_at < now() - %s"


@dataclass(frozen=True)
class Limit:
    """At most `runs` accepted starts in any `window` for `subject`."""

    subject: str
    runs: int
    window: timedelta


@dataclass(frozen=True)
class OnceKey:
    """An idempotency key: the `key` that `owner` sent, and a hash of its request."""

    owner: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True)
class Terms:
    """The conditions of a start: its rate limit, its idempotency key, and the headers of its request."""

    limit: Limit | None = None
    once: OnceKey | None = None
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Allowance:
    """What is left of a rate limit, and the seconds until there is more."""

    remaining: int
    seconds: float


class Answer(StrEnum):
    """The result of a start. A replay is the run that the same request started before."""

    CREATED = "Created"
    REPLAYED = "Replayed"
    KEY_REUSED = "KeyReused"
    RATE_LIMITED = "RateLimited"


_OURS = frozenset(Answer)


@dataclass(frozen=True)
class Start:
    """The answer, its runs, and what is left of the rate limit, if there is one."""

    answer: Answer
    run_ids: tuple[UUID, ...]
    allowance: Allowance | None = None

    @property
    def run_id(self) -> UUID:
        """The run, where one was to be started."""
        return self.run_ids[0]


async def start_run(database: Database, new: NewRun, terms: Terms) -> Start:
    """Accept a run under these terms. Raises as `create_run` does."""
    if terms.limit is None and terms.once is None:
        await create_run(database, new)
        return Start(Answer.CREATED, (new.run_id,))
    return await start_runs(database, [new], terms)


async def start_runs(database: Database, new: Sequence[NewRun], terms: Terms) -> Start:
    """Accept all of the runs, each on a thread of its own, or none. Raises as `create_run` does."""
    params = {"runs": orjson.dumps([_entry(run) for run in new]).decode(), **_term_params(terms)}

    async def start() -> dict[str, Any] | None:
        async with database.connection() as conn:
            row = await (await conn.execute(_START.encode(), params)).fetchone()
            if row and row["answer"] == Answer.CREATED:
                hints = [hint for run in new if not run.delay_seconds for hint in _hints(run)]
                if hints:
                    await conn.execute(NOTIFY_MANY.encode(), many_params(hints))
            return row

    row = await database.twice(start)
    assert row is not None
    if row["answer"] not in _OURS:
        raise_refusal(row["answer"], new[0])
    allowance = None if terms.limit is None else Allowance(row["remaining"], row["seconds"])
    return Start(Answer(row["answer"]), tuple(row["runs"]), allowance)


async def run_of_key(database: Database, owner: str, key: str) -> UUID | None:
    """Return the run that an owner's idempotency key started, or None."""
    row = await database.fetch_one(_OF_KEY, (owner, key))
    return row["run_id"] if row else None


async def forget_old_starts(database: Database, window: timedelta) -> None:
    """Remove starts that no rate limit and no idempotency key needs any more."""
    await database.execute(_FORGET_STARTS, (window,))
    await database.execute(_FORGET_KEYS, (_KEYS_KEPT,))


def _entry(new: NewRun) -> dict[str, Any]:
    params = run_params(new)
    written = {name: orjson.Fragment(params[name]) for name in _WRITTEN if params[name] is not None}
    return params | written


def _hints(run: NewRun) -> tuple[tuple[str, UUID], ...]:
    return (RUNS_CHANNEL, run.run_id), (EVENTS_CHANNEL, run.thread_id)


def _term_params(terms: Terms) -> dict[str, Any]:
    limit, once = terms.limit, terms.once
    return {
        "subject": limit.subject if limit else None,
        "limit": limit.runs if limit else None,
        "window": limit.window if limit else None,
        "key_owner": once.owner if once else None,
        "key": once.key if once else None,
        "fingerprint": once.fingerprint if once else None,
    }


logger = logging.getLogger("relayrun.later")

_DUE = """
WITH soon AS (
    SELECT run_id, owner, seq, coalesce(cancel_requested_at, created_at) AS time FROM runs
    WHERE status = 'delayed' AND coalesce(cancel_requested_at, created_at) <= now() + make_interval(secs => %s)
)
SELECT run_id, extract(epoch FROM time - now())::float AS seconds FROM soon
ORDER BY time > now(), row_number() OVER (PARTITION BY owner ORDER BY time, seq), time LIMIT %s"""
_LINE_UP = """
SELECT relayrun_line_up(%(run)s) AS answer, (SELECT thread_id FROM runs WHERE run_id = %(run)s) AS thread"""


class LinedUp(StrEnum):
    """What became of a delayed run."""

    LINED_UP = "LinedUp"
    #: A later run displaced it before its time.
    CANCELLED = "Cancelled"
    #: Somebody else was quicker.
    NOT_YET = "NotYet"


async def due_later(database: Database, within_seconds: float, limit: int = 100) -> list[tuple[UUID, float]]:
    """Return delayed runs that are due within the time, with the seconds until then; 0 or less means now.

    Those that are due come first, of each owner the soonest first, and the owners in turn.
    """
    rows = await database.fetch_all(_DUE, (within_seconds, limit))
    return [(row["run_id"], row["seconds"]) for row in rows]


async def line_up(database: Database, run_id: UUID) -> LinedUp:
    """Put a due delayed run into its thread's queue, and notify those who place runs."""

    async def attempt() -> dict[str, Any] | None:
        async with database.connection() as conn:
            row = await (await conn.execute(_LINE_UP.encode(), {"run": run_id})).fetchone()
            match row and row["answer"]:
                case LinedUp.LINED_UP:
                    assert row is not None
                    await conn.execute(NOTIFY_CREATED.encode(), (run_id, row["thread"]))
                case LinedUp.CANCELLED:
                    await conn.execute(NOTIFY_BOTH.encode(), notify_params(run_id))
            return row

    row = await breaking_frozen_holders(database, run_id, attempt)
    return LinedUp(row["answer"]) if row else LinedUp.NOT_YET
