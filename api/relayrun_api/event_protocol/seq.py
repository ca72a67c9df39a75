"""The event protocol's `seq`: an integer that grows over all events of a thread, and is the same on every replica.

```
 20 bits                      25 bits                            8 bits
 n-th run of the thread  │  place of the journal's event    │  part of what it became
```
It is made of where the journal has an event, so that whoever sends it back as `since` goes on behind it anywhere.
JavaScript counts no further than 53 bits.
"""

import asyncio

LARGEST_SEQ = (1 << 53) - 1

_PART_BITS = 8
_PLACE_BITS = 25
_RUN_SHIFT = _PLACE_BITS + _PART_BITS
_LARGEST_PART = (1 << _PART_BITS) - 1
_LARGEST_PLACE = (1 << _PLACE_BITS) - 1
# A crash of Postgres may forget the last few hundred milliseconds of an attempt that readers have seen, and another
# attempt goes on from before them: its places begin behind any that those can have had.
_GAP = 4096


def before_run(number: int) -> int:
    """The seq behind all events of earlier runs, and before those of this one."""
    return number << _RUN_SHIFT


def run_of(seq: int) -> int:
    """The number of the run that an event of this seq is of."""
    return seq >> _RUN_SHIFT


class Places:
    """The places of one run's events, told in order from its first event on."""

    def __init__(self, number: int) -> None:
        self._run = before_run(number)
        self._attempt = 0
        self._offset = 0
        self._place = 0

    def at(self, journal_seq: int) -> None:
        """Go on to the event that the journal has at `journal_seq` (attempt · 2^32 + n)."""
        attempt, n = max(journal_seq, 0) >> 32, max(journal_seq, 0) & 0xFFFFFFFF
        if attempt != self._attempt:
            self._offset = self._place + _GAP if self._attempt else 0
            self._attempt = attempt
        self._place = min(self._offset + n, _LARGEST_PLACE)

    @property
    def last(self) -> int:
        """The largest seq of what that event may become."""
        return self.seq(_LARGEST_PART)

    def seq(self, part: int) -> int:
        """The seq of one of the parts of what that event became; beyond 255 they share the last one's."""
        return self._run | (self._place << _PART_BITS) | min(part, _LARGEST_PART)


# A client that comes back asks for its subscriptions one right behind the other: nothing is told between them.
_SETTLING_SECONDS = 0.01


class SeqOrder:
    """The order in which the subscriptions of one connection tell: whichever is ahead of another waits for it.

    Events do not say which subscription they are for, and clients give each to all of their readers that want it. A
    run's end that one tells before another has told the rest would be the end of both (LangGraph's JavaScript SDK:
    tried).
    """

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
