"""The order in which the subscriptions of one connection tell: that of `seq`, whichever of them an event is for.

Their events do not say which subscription they are for, and clients give each to all of their readers that want it. A
run's end that one tells before another has told the rest would be the end of both (LangGraph's JavaScript SDK: tried).
"""

import asyncio

# A client that comes back asks for its subscriptions one right behind the other: nothing is told between them.
_SETTLING_SECONDS = 0.01


class SeqOrder:
    """Has the subscription wait that is ahead of another."""

    def __init__(self) -> None:
        self._through: dict[str, int] = {}
        self._moved = asyncio.Event()
        self._settled_at = 0.0

    def join(self, subscription: str) -> None:
        """It has told nothing yet."""
        self._through[subscription] = -1
        self._settled_at = asyncio.get_running_loop().time() + _SETTLING_SECONDS

    def leave(self, subscription: str) -> None:
        """Nobody waits for it any more; harmless when told twice."""
        self._through.pop(subscription, None)
        self._moved.set()

    def passed(self, subscription: str, seq: int) -> None:
        """It tells nothing up to `seq` any more."""
        if seq > self._through.get(subscription, seq):
            self._through[subscription] = seq
            self._moved.set()

    async def turn(self, subscription: str, seq: int) -> None:
        """Return when the subscription may tell its event of this `seq`: all others are as far."""
        self.passed(subscription, seq - 1)
        if (left := self._settled_at - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)
        while any(through < seq - 1 for other, through in self._through.items() if other != subscription):
            self._moved.clear()
            await self._moved.wait()
