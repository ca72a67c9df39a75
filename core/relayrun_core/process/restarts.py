"""When an ended process is started again: one rule for local runners, API and Postgres, and for pods. Pure.

```
  ended ──▶ killed from outside, or it had been ready ──▶ at once, while the bucket has tokens
        └─▶ ended by itself before it was ready ────────▶ after a back-off, which doubles with each round of failures
```

The two never wait for each other: a graph that cannot be imported does not delay the replacement of a runner that
served, and a kill does not lengthen the back-off of a graph that cannot be imported.
"""

import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from math import floor
from pathlib import Path

#: So many replacements start at once, and then so many a second: a broken kernel or cgroup must not make us spin.
BURST = 10
PER_SECOND = 2.0
# Of a token. What is missing of one may be less than the clock's numbers can say: waiting for it would take no time.
_ROUNDING = 1e-6

FIRST_BACK_OFF_SECONDS = 0.5
LONGEST_BACK_OFF_SECONDS = 30.0

#: What others send, an OOM killer included. A process gets the rest, as SIGSEGV and SIGABRT, for what it did.
_SENT_BY_OTHERS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


def killed_from_outside(code: int) -> bool:
    """Return whether an exit code, as `subprocess` gives it, means that somebody else ended the process."""
    return -code in _SENT_BY_OTHERS


@dataclass(frozen=True, slots=True)
class Restarts:
    """The state of restarts: what may be started again, and when. Times are seconds of one monotonic clock.

    Report to it each unexpected end (`ended`), each process that became ready (`became_ready`) and each
    new generation of code or settings (`renewed`). Call `grant` before anything is started.
    """

    burst: int = BURST
    #: What may be replaced at once; None: all of `burst`.
    tokens: float | None = None
    filled_at: float = 0.0
    #: How many ended, and wait for a token or for the back-off.
    replacements: int = 0
    retries: int = 0
    #: Rounds of failures in a row, when the last of them was counted, and until when it backs off.
    failures: int = 0
    failed_at: float = float("-inf")
    retry_at: float = float("-inf")

    def ended(self, code: int, *, was_ready: bool, started_at: float, now: float) -> "Restarts":
        """Record an unexpected end, with the exit code that `subprocess` gives."""
        if was_ready or killed_from_outside(code):
            return replace(self, replacements=self.replacements + 1)
        return self.failed(started_at=started_at, now=now)

    def failed(self, *, started_at: float, now: float, count: int = 1) -> "Restarts":
        """Record `count` failed starts. Those that began before the last failure belong to the same round."""
        waits = replace(self, retries=self.retries + count)
        if started_at < self.failed_at:
            return waits
        seconds = min(LONGEST_BACK_OFF_SECONDS, FIRST_BACK_OFF_SECONDS * 2 ** min(self.failures, 16))
        return replace(waits, failures=self.failures + 1, failed_at=now, retry_at=now + seconds)

    def became_ready(self) -> "Restarts":
        """Record that a process of this generation is ready: failed ones may be tried again at once."""
        return replace(self, failures=0, failed_at=float("-inf"), retry_at=float("-inf"))

    def renewed(self) -> "Restarts":
        """Record new code or settings, about which earlier failures say nothing. Tokens stay spent."""
        return replace(self.became_ready(), retries=0)

    def grant(self, wanted: int, now: float) -> tuple["Restarts", int]:
        """Return the state after the start, and how many of the `wanted` processes may be started now.

        Processes beyond those that ended are new: they need no token.
        """
        due = now >= self.retry_at
        retries = min(self.retries, wanted) if due else self.retries
        replacements = max(0, min(self.replacements, wanted - retries))
        tokens = self._tokens(now)
        replaced = min(replacements, floor(tokens + _ROUNDING))
        new = max(0, wanted - retries - replacements)
        after = replace(
            self,
            tokens=tokens - replaced,
            filled_at=now,
            replacements=replacements - replaced,
            retries=0 if due else retries,
        )
        return after, new + replaced + (retries if due else 0)

    def next_at(self, now: float) -> float | None:
        """Return when the next waiting process may start, `now` if already; None when none waits."""
        times = []
        if self.replacements:
            lacking = 1 - self._tokens(now)
            times.append(now if lacking <= _ROUNDING else now + lacking / PER_SECOND)
        if self.retries:
            times.append(max(now, self.retry_at))
        return min(times, default=None)

    def _tokens(self, now: float) -> float:
        if self.tokens is None:
            return float(self.burst)
        return min(float(self.burst), self.tokens + max(0.0, now - self.filled_at) * PER_SECOND)


# Of cgroup v2, and of v1: both have a line `oom_kill` and a number.
_MEMORY_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))


class DeathReason(StrEnum):
    """Why a process died. A label of a metric, so the set is fixed."""

    #: Somebody sent it a signal.
    KILLED = "Killed"
    #: The container's memory ran out, and the kernel chose it.
    OOM_KILLED = "OOMKilled"
    #: A signal for what it did, as SIGSEGV.
    CRASHED = "Crashed"
    #: It ended itself: a node that would not stop, a part that broke, or author code that exits.
    EXITED = "Exited"

    @property
    def sentence(self) -> str:
        """What happened, as the end of a sentence whose subject is the process."""
        return _SENTENCES[self]


_SENTENCES = {
    DeathReason.KILLED: "was killed by a signal",
    DeathReason.OOM_KILLED: "was killed because its container's memory ran out",
    DeathReason.CRASHED: "crashed",
    DeathReason.EXITED: "ended itself",
}


def reason_of(code: int, *, out_of_memory: bool = False) -> DeathReason:
    """Return the reason for an exit code, as `subprocess` gives it. `out_of_memory`: the kernel killed for memory."""
    if code >= 0:
        return DeathReason.EXITED
    if not killed_from_outside(code):
        return DeathReason.CRASHED
    return DeathReason.OOM_KILLED if out_of_memory else DeathReason.KILLED


def memory_kills() -> int:
    """Return how often the kernel has killed for memory in this container; 0 when it does not say."""
    for file in _MEMORY_EVENTS:
        with suppress(OSError):
            return sum(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("oom_kill "))
    return 0
