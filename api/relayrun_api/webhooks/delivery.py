"""Delivers webhooks of ended runs, from the outbox. Every replica does; each takes rows of its own.

```
 a run ends, and in the same transaction its row ──▶ taken for a minute ──▶ POST ─┬─ 2xx ──▶ removed
                                                         ▲                        └─ else ─▶ put off, ever longer;
                                                         └── its taker died                  given up after a day
```
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from relayrun_api.metrics import Metrics
from relayrun_api.settings import ApiSettings
from relayrun_api.tasks import cancelled
from relayrun_api.webhooks.rules import WebhookRules
from relayrun_api.webhooks.sender import NotTaken, WebhookSender
from relayrun_core.database import Database, is_transient
from relayrun_core.db.outbox import Busy, Delivery, delivered, forget_failed, put_off, take_deliveries

logger = logging.getLogger("relayrun.api.webhooks")

_PERIOD_SECONDS = 1.0
_AT_ONCE = 32
#: Never more than there is room left for, either: however many are slow, one more owner and one more host find room.
_AT_ONCE_AN_OWNER = 16
_AT_ONCE_A_HOST = 16
#: A receiver that is slow delays its own webhooks, and of its owner no others.
_AT_ONCE_A_HOST_OF_AN_OWNER = 8
_PAGE = 4
#: The first waits; then twice as long each time, up to the longest.
_FIRST_WAIT_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 3600.0
#: What was given up can be looked at in the database for so long.
_FAILED_KEPT = timedelta(days=7)
_FORGET_SECONDS = 600.0


#: What a receiver is told of a run's end, at this time: the body, and headers beside our own.
Render = Callable[[Delivery, datetime], tuple[bytes, Mapping[str, str]]]


class WebhookDelivery:
    """Delivers what is due."""

    def __init__(self, database: Database, poster: WebhookSender, metrics: Metrics, render: Render) -> None:
        self._database = database
        self._poster = poster
        self._metrics = metrics
        self._render = render
        self._under_way: Counter[tuple[str, str]] = Counter()  # by owner and host
        self._ended = asyncio.Event()
        self._forget_at = 0.0

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._ended.clear()
                try:
                    while await self._take(tasks):
                        pass
                    await self._forget_now_and_then()
                except Exception as error:
                    known = is_transient(error)
                    logger.warning("webhooks that are due are looked for again: %s", error, exc_info=not known)
                    await asyncio.sleep(_PERIOD_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PERIOD_SECONDS):
                        await self._ended.wait()

    async def _take(self, tasks: asyncio.TaskGroup) -> bool:
        """Begin with some of what is due; False: there is no more of it, or no room."""
        left = _AT_ONCE - self._under_way.total()
        room = min(_PAGE, left)
        if room <= 0:
            return False
        busy, hosts = self._busy(left)
        taken = await take_deliveries(self._database, room, min(_AT_ONCE_AN_OWNER, left), busy, hosts)
        for delivery in taken:
            self._under_way[delivery.owner, delivery.host] += 1
            tasks.create_task(self._guarded(delivery), name=f"webhook of run {delivery.run_id}")
        return len(taken) == room

    def _busy(self, left: int) -> tuple[dict[str, Busy], list[str]]:
        """What each owner has under way, and the hosts to which nothing more goes."""
        of_owners: Counter[str] = Counter()
        to_hosts: Counter[str] = Counter()
        full: dict[str, list[str]] = {}
        for (owner, host), count in self._under_way.items():
            of_owners[owner] += count
            to_hosts[host] += count
            if count >= _AT_ONCE_A_HOST_OF_AN_OWNER:
                full.setdefault(owner, []).append(host)
        busy = {owner: Busy(count, full.get(owner, [])) for owner, count in of_owners.items()}
        return busy, [host for host, count in to_hosts.items() if count >= min(_AT_ONCE_A_HOST, left)]

    async def _guarded(self, delivery: Delivery) -> None:
        try:
            await self.deliver(delivery)
        except Exception as error:
            # One that is beyond us must not keep the others from being told. It is taken again in a minute.
            known = is_transient(error)
            logger.warning("a webhook stays in the outbox: %s", error, exc_info=not known, extra=_of(delivery))
            if not known:
                await self._put_off_unread(delivery, error)
        finally:
            self._under_way[delivery.owner, delivery.host] -= 1
            self._under_way += Counter()  # forgets those that are done with
            self._ended.set()

    async def deliver(self, delivery: Delivery) -> None:
        """One try, and the note of what became of it."""
        now = datetime.now(UTC)
        try:
            body, headers = self._render(delivery, now)
            await self._poster.post(delivery.url, str(delivery.run_id), body, int(now.timestamp()), headers)
        except NotTaken as problem:
            await self._not_taken(delivery, problem)
            return
        await delivered(self._database, delivery)
        self._metrics.webhooks.labels("delivered").inc()
        logger.debug("a webhook was delivered", extra=_of(delivery))

    async def _not_taken(self, delivery: Delivery, problem: NotTaken) -> None:
        seconds = wait_seconds(delivery.tries)
        again = await put_off(self._database, delivery, str(problem), seconds=seconds, final=problem.final)
        self._metrics.webhooks.labels("put_off" if again else "given_up").inc()
        if again:
            logger.info("a webhook is tried again in %.0f s: %s", seconds, problem, extra=_of(delivery))
        else:
            logger.warning("a webhook is given up after %s tries: %s", delivery.tries, problem, extra=_of(delivery))

    async def _put_off_unread(self, delivery: Delivery, error: Exception) -> None:
        with suppress(psycopg.Error, PoolTimeout):
            await put_off(self._database, delivery, type(error).__name__, seconds=wait_seconds(delivery.tries))

    async def _forget_now_and_then(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_SECONDS
            await forget_failed(self._database, _FAILED_KEPT)


@asynccontextmanager
async def delivering(
    database: Database, settings: ApiSettings, metrics: Metrics, render: Render
) -> AsyncIterator[None]:
    """Deliver webhooks until the block's end."""
    async with WebhookSender.open(WebhookRules.of(settings), settings.webhook_secrets) as poster:
        task = asyncio.create_task(WebhookDelivery(database, poster, metrics, render).run(), name="deliver webhooks")
        try:
            yield
        finally:
            await cancelled(task)


def wait_seconds(tries: int) -> float:
    """How long to wait after so many tries, not the same for all that failed together."""
    wait = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(tries - 1, 16))
    return wait * random.uniform(0.8, 1.2)


def _of(delivery: Delivery) -> dict[str, Any]:
    # Not the URL, which may carry a secret.
    return {"run": str(delivery.run_id), "host": delivery.host}
