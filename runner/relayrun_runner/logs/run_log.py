"""What one attempt prints and logs, until it is stored: bounded, and filled from any thread."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from relayrun_core.db.run_logs import LogBatch
from relayrun_core.runs import Run
from relayrun_runner.logs.lines import Lines

# What a line counts beside its text.
_LINE_BYTES = 100
_BATCH_BYTES = 64 * 1024
# What may wait for a database that is slow or away.
_WAITING_BYTES = 256 * 1024


class RunLog:
    """Lines of an attempt. Once there are `most_bytes` of them, further lines are dropped and counted."""

    def __init__(self, run: Run, most_bytes: int, wake: Callable[["RunLog"], None]) -> None:
        """`wake` is called, in any thread, when there is something to store. With 0 bytes there never is."""
        self.run_id, self.attempt = run.run_id, run.attempt
        self.fields = {"run": str(run.run_id), "thread_id": str(run.thread_id), "attempt": run.attempt}
        self.closed = False
        self._keeps = most_bytes > 0
        self._left = most_bytes
        self._wake = wake
        # A finaliser or a signal handler may print within a call of ours.
        self._lock = threading.RLock()
        self._printed = Lines()
        self._lines: deque[dict[str, Any]] = deque()
        self._waiting = 0
        self._number = 0
        self._dropped = 0
        self._full = False
        self._woken = False
        self._sending: LogBatch | None = None

    def print(self, source: str, text: str, node: str | None) -> list[str]:
        """Add what is written to a stream; returned are the lines that it ended."""
        with self._lock:
            lines = self._printed.feed((source, node, threading.get_ident()), text)
        for line in lines:
            self.add(source, line, node=node)
        return lines

    def add(self, source: str, text: str, *, node: str | None, **more: Any) -> None:
        """Add a line, which is not too long; `more`: `level` and `logger`."""
        if not self._keeps:
            return
        size = len(text) + _LINE_BYTES
        with self._lock:
            if self.closed:
                return
            if size > self._left or self._waiting + size > _WAITING_BYTES:
                self._drop(full=size > self._left)
            else:
                self._tell_dropped()
                self._left -= size
                self._waiting += size
                self._append(source, text, node=node, **more)
        self._wake_once()

    def close(self) -> None:
        """The attempt has ended: what its threads still print is not its own any more."""
        with self._lock:
            for (source, node, _), line in self._printed.rest():
                self.add(source, line, node=node)
            self.closed = True
            self._tell_dropped()
        self._wake_once()

    def next_batch(self) -> LogBatch | None:
        """What is to be stored next: the same until `stored` or `lost` is called. None: nothing is waiting."""
        with self._lock:
            if self._sending is None and self._lines:
                taken, size = [], 0
                while self._lines and size < _BATCH_BYTES:
                    taken.append(self._lines.popleft())
                    size += len(taken[-1]["text"]) + _LINE_BYTES
                self._waiting -= size
                self._sending = LogBatch.of(self.run_id, self.attempt, taken)
            return self._sending

    def stored(self) -> bool:
        """The last batch is stored; answered is whether so much is waiting that the next one need not gather."""
        with self._lock:
            self._sending = None
            return self._waiting >= _BATCH_BYTES

    def lost(self) -> None:
        """The last batch cannot be stored."""
        with self._lock:
            if self._sending is not None:
                self._dropped += self._sending.last - self._sending.first + 1
            self._sending = None

    def rests(self) -> bool:
        """Whether nothing is waiting; then it wakes again when there is something."""
        with self._lock:
            self._woken = self._sending is not None or bool(self._lines)
            return not self._woken

    def _append(self, source: str, text: str, **more: Any) -> None:
        self._number += 1
        self._lines.append({"n": self._number, "at": int(time.time() * 1000), "source": source, "text": text, **more})

    def _drop(self, *, full: bool) -> None:
        if full and not self._full:
            # At once: whoever is killed tells nothing later.
            self._append("relayrun", "the log is full: further lines are dropped", dropped=0)
        self._full = self._full or full
        self._dropped += 1

    def _tell_dropped(self) -> None:
        if self._dropped:
            why = "the log is full" if self._full else "they came faster than they could be stored"
            self._append("relayrun", f"{self._dropped:,} lines were dropped: {why}", dropped=self._dropped)
            self._dropped = 0

    def _wake_once(self) -> None:
        with self._lock:
            wake = not self._woken and bool(self._lines)
            self._woken = self._woken or wake
        if wake:
            self._wake(self)
