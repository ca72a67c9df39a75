"""The event protocol's `seq`: an integer that grows over all events of a thread, and is the same on every replica.

```
 20 bits                      25 bits                            8 bits
 n-th run of the thread  │  place of the journal's event    │  part of what it became
```
It is made of where the journal has an event, so that whoever sends it back as `since` goes on behind it anywhere.
JavaScript counts no further than 53 bits.
"""

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
