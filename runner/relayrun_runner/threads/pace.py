"""How fast threads' pasts are read: as fast as can be, unless runs execute here."""

import asyncio
import time
from collections.abc import Callable

# While runs execute, readers rest so many times as long as they worked. Measured on two cores, one busy with a history:
# without it the first event of a run takes half as long again.
_REST_PER_WORK = 3.0
# Shorter ones cost more than they give.
_LEAST_WORK_SECONDS = 0.001
# What was worked while nobody asked for rest, for example on states, is not made up for.
_MOST_WORK_SECONDS = 0.05


class Pace:
    """One for all readers of the reading loop, so that more of them do not take more of the time."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy
        self._resting = asyncio.Lock()
        self._rested = 0.0

    async def rest(self) -> None:
        """Call this between two pieces of work."""
        async with self._resting:
            # Of this thread alone: what it waited for was no work.
            worked = min(time.thread_time() - self._rested, _MOST_WORK_SECONDS)
            if self._busy():
                if worked < _LEAST_WORK_SECONDS:
                    return
                await asyncio.sleep(worked * _REST_PER_WORK)
            self._rested = time.thread_time()
