"""Hints through NOTIFY: something of a run changed. Nobody relies on them; readers poll as well."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from relayrun_core.arrays import TEXT
from relayrun_core.database import Database

logger = logging.getLogger("relayrun.notify")

#: Payload: the run id. A run was created, its cancel requested, or it ended.
RUNS_CHANNEL = "relayrun_runs"
#: Payload: the run id. The run's journal has new events. Or a thread's id: it has a new run or edit, or is gone.
EVENTS_CHANNEL = "relayrun_events"

#: A hint on one channel, as an asynchronous commit of its own. Parameters: channel, run id.
NOTIFY = "SELECT relayrun_notify_v1(%s, %s)"

#: Hints on both channels; its parameters come from `notify_params`.
NOTIFY_BOTH = """
SELECT set_config('synchronous_commit', 'off', true), pg_notify(%(runs)s, %(run)s), pg_notify(%(events)s, %(run)s)"""

#: Hints that a run was created: to who places runs, and to who follows its thread. Parameters: run id, thread id.
NOTIFY_CREATED = f"""
SELECT set_config('synchronous_commit', 'off', true), pg_notify('{RUNS_CHANNEL}', %s::text),
    pg_notify('{EVENTS_CHANNEL}', %s::text)"""

#: Any number of hints in one commit; its parameters come from `many_params`.
NOTIFY_MANY = """
SELECT set_config('synchronous_commit', 'off', true), pg_notify(hint.channel, hint.about)
FROM unnest(%s, %s) AS hint (channel, about)"""

# While hints come faster than this they go together: nobody notices so little, and a commit for each costs 1 ms.
_GATHER_SECONDS = 0.005

#: Sends a hint on a channel about a run, soon.
Hint = Callable[[str, UUID], None]


async def notify(database: Database, run_id: UUID) -> None:
    """Say that the run changed and may have new events; an asynchronous commit of its own."""
    await database.execute(NOTIFY_BOTH, notify_params(run_id))


async def notify_thread(database: Database, thread_id: UUID) -> None:
    """Say to who follows the thread that it changed, beside its runs' events."""
    await database.execute(NOTIFY, (EVENTS_CHANNEL, thread_id))


def notify_params(run_id: UUID) -> dict[str, str]:
    """The parameters of NOTIFY_BOTH."""
    return {"runs": RUNS_CHANNEL, "events": EVENTS_CHANNEL, "run": str(run_id)}


def many_params(hints: Iterable[tuple[str, UUID]]) -> tuple[bytes, bytes]:
    """The parameters of NOTIFY_MANY: each a channel, and the run or thread that it is about."""
    channels, about = zip(*hints, strict=True)
    return TEXT(channels), TEXT(map(str, about))


class Hints:
    """Sends hints in the background, all that have gathered in one commit; `run()` must be running meanwhile.

    The first goes at once, and at most one commit is under way, so that many runs cost few commits. A hint that cannot
    be sent is dropped.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: set[tuple[str, UUID]] = set()
        self._work = asyncio.Event()

    def send(self, channel: str, run_id: UUID) -> None:
        """Send a hint soon."""
        self._waiting.add((channel, run_id))
        self._work.set()

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            hints, self._waiting = self._waiting, set()
            try:
                await self._database.execute(NOTIFY_MANY, many_params(hints))
            except (psycopg.Error, PoolTimeout) as error:
                logger.info("hints were not sent, readers will poll: %s", error)
            await asyncio.sleep(_GATHER_SECONDS)
