"""The health of a runner: whether it is ready, whether it lost a part and must end, whether its event loop is blocked.

An async node that computes, or calls something synchronous, holds up every run of its runner. The log then names it
and the place, once. A process that has lost a part that every run needs is ended.
"""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

from prometheus_client import Gauge

from relayrun_core.clock import monotonic_seconds
from relayrun_core.runner_protocol import STARTING, Trouble
from relayrun_runner.author_errors import authors_frame, safely
from relayrun_runner.process.exits import PART_ENDED, end_process


class Readiness:
    """What stands between this runner and its first run. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._troubles: dict[str, Trouble] = {
            STARTING: Trouble(subject=STARTING, message="the graphs are being loaded", waiting=True)
        }
        self._waiting: set[Callable[[], object]] = set()

    def set(self, subject: str, message: str, traceback: str | None = None, *, waiting: bool = False) -> None:
        """Report that this subject prevents readiness."""
        with self._lock:
            self._troubles[subject] = Trouble(subject=subject, message=message, traceback=traceback, waiting=waiting)
            self._wake()

    def clear(self, subject: str) -> None:
        """Report that this subject no longer prevents readiness."""
        with self._lock:
            self._troubles.pop(subject, None)
            self._wake()

    @property
    def ready(self) -> bool:
        """Whether nothing is in the way."""
        return not self._troubles

    def troubles(self) -> list[Trouble]:
        """All that is in the way."""
        with self._lock:
            return list(self._troubles.values())

    async def loaded(self, seconds: float) -> None:
        """Return once something else than the start is in the way, or nothing; after a while anyway."""
        changed, loop = asyncio.Event(), asyncio.get_running_loop()
        wake = partial(loop.call_soon_threadsafe, changed.set)
        with self._lock:
            if set(self._troubles) != {STARTING}:
                return
            self._waiting.add(wake)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await changed.wait()
        self._waiting.discard(wake)

    def _wake(self) -> None:
        while self._waiting:
            with suppress(RuntimeError):  # its loop is closed
                self._waiting.pop()()


class EssentialParts:
    """The parts that every run needs. Each has a function that returns True once the part has ended. Thread-safe."""

    def __init__(self) -> None:
        self._parts: dict[str, Callable[[], bool]] = {}

    def add(self, name: str, has_ended: Callable[[], bool]) -> None:
        """Add a part."""
        self._parts[name] = has_ended

    def ended(self) -> str | None:
        """Return the name of a part that has ended; None while none has."""
        return next((name for name, has_ended in list(self._parts.items()) if has_ended()), None)


log = logging.getLogger("relayrun.runner")

_EVERY_SECONDS = 0.5
_REPORT_AFTER_SECONDS = 1.0


class Watchdog:
    """Pings the main thread's loop from another; `answer` is called there each time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        gauge: Gauge,
        essential_parts: EssentialParts,
        *,
        reports: bool = True,
        answer: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._gauge = gauge
        self._essential_parts = essential_parts
        self._answer_there = answer
        self._sent: float | None = None
        self._last_lag = 0.0
        self._reports = reports
        self._reported = False
        #: What has been reported: nodes, and the functions in which they block.
        self._logged: set[Any] = set()

    @property
    def lag_seconds(self) -> float:
        """How late the loop answered last, or how long it has owed an answer."""
        return max(self._last_lag, self._owed_seconds())

    async def run(self) -> None:
        """Ping for ever; belongs to a task of the watching loop."""
        while True:
            if (part := self._essential_parts.ended()) is not None:
                end_process(PART_ENDED, f"{part} has ended")
            if self._sent is None:
                self._sent = monotonic_seconds()
                self._loop.call_soon_threadsafe(self._answer)
            await asyncio.sleep(_EVERY_SECONDS)
            self._gauge.set(self.lag_seconds)
            if self._owed_seconds() > _REPORT_AFTER_SECONDS and self._reports and not self._reported:
                self._reported = True
                self._report()

    def _owed_seconds(self) -> float:
        sent = self._sent
        return 0.0 if sent is None else monotonic_seconds() - sent

    def _answer(self) -> None:
        if self._sent is not None:
            self._last_lag = monotonic_seconds() - self._sent
        self._sent = None
        self._answer_there()
        if self._reported:
            self._reported = False
            log.debug("the graphs' event loop goes on after %.1f s", self._last_lag)

    def _report(self) -> None:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        stack = list(traceback.walk_stack(frame))
        # What an author's class body or module holds may be anything.
        nodes = (safely(partial(_node_of, found), None) for found, _ in stack)
        node = next(filter(None, nodes), None)
        place = authors_frame(traceback.StackSummary.extract(iter(stack), lookup_lines=False))
        known = (node, place and (place.filename, place.name))
        if known in self._logged:
            return
        self._logged.add(known)
        log.warning(
            "the event loop has been blocked for %.1f s by %s, at %s; every run of this runner waits: await what takes"
            " time, or use asyncio.to_thread",
            self._owed_seconds(),
            f"node {node}" if node else "what is no node",
            f"{place.filename}:{place.lineno} in {place.name}" if place else "a place in a library",
        )


def _node_of(frame: FrameType) -> str | None:
    """The node that is executed in this frame, if it is one of those that have LangGraph's config."""
    config = frame.f_locals.get("config")
    metadata = config.get("metadata") if type(config) is dict else None
    node = metadata.get("langgraph_node") if type(metadata) is dict else None
    return node if type(node) is str else None
