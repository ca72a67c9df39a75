"""The clock that measures a runner's silence. It counts only time in which the engine itself was awake."""

from dataclasses import dataclass, replace

#: How often a world ticks.
TICK_SECONDS = 0.5

#: A tick this late means that we were paused, not the runners: what they said meanwhile is still unread.
LATE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TickClock:
    """Remembers when the engine last ran, in seconds of a monotonic clock."""

    ticked_at: float
    trusted_since: float

    @classmethod
    def start(cls, now: float) -> "TickClock":
        """A clock that trusts nothing heard before `now`, because nobody listened."""
        return cls(ticked_at=now, trusted_since=now)

    def tick(self, now: float) -> "TickClock":
        """Return the clock after the engine ran at `now`. After a late tick every silence starts anew."""
        late = now - self.ticked_at >= TICK_SECONDS + LATE_SECONDS
        return replace(self, ticked_at=now, trusted_since=now if late else self.trusted_since)

    def silence_began(self, last_heard: float) -> float:
        """Return since when a runner that was last heard at `last_heard` counts as silent."""
        return max(last_heard, self.trusted_since)
