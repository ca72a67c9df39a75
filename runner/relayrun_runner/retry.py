"""Repeats a call while the database is away, until the run's deadline."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from relayrun_core.database import is_closed, is_transient
from relayrun_runner.errors import DatabaseAway

logger = logging.getLogger("relayrun.runner")

T = TypeVar("T")

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 0.5


async def until_deadline(call: Callable[[], Awaitable[T]], deadline: float, what: str) -> T:
    """Await `call()` again and again while the database is away. `deadline` is in the loop's time.

    Raises DatabaseAway when the deadline has passed, or when this process has closed its connections, which another
    has; every other error at once.
    """
    delay = _FIRST_SECONDS
    while True:
        try:
            return await call()
        except Exception as error:
            if is_closed(error):
                raise DatabaseAway(f"{what}: this process has closed its connections") from error
            if not is_transient(error):
                raise
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                raise DatabaseAway(f"{what}: the database was away until the run's deadline") from error
            logger.warning("the database is away, trying again (%s): %s", what, error)
            await asyncio.sleep(min(delay, remaining))  # back-off between two tries
            delay = min(delay * 2, _LONGEST_SECONDS)
