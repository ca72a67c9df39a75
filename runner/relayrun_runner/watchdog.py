"""Measures how late the graphs' event loop answers, from the protocol's thread, and shows what blocks it.

An async node that computes, or calls something synchronous, holds up every run of its runner. The log then has the
stack that the author needs to see. A process that has lost a part that every run needs is ended.
"""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable

from prometheus_client import Gauge

from relayrun_core.clock import monotonic_seconds
from relayrun_runner.exits import PART_ENDED, end_process
from relayrun_runner.vitals import Vitals

log = logging.getLogger("relayrun.runner")

_EVERY_SECONDS = 0.5
_REPORT_AFTER_SECONDS = 1.0


class Watchdog:
    """Pings the main thread's loop from another; `answer` is called there each time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        gauge: Gauge,
        vitals: Vitals,
        *,
        reports: bool = True,
        answer: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._gauge = gauge
        self._vitals = vitals
        self._answer_there = answer
        self._sent: float | None = None
        self._last_lag = 0.0
        self._reports = reports
        self._reported = False

    @property
    def lag_seconds(self) -> float:
        """How late the loop answered last, or how long it has owed an answer."""
        return max(self._last_lag, self._owed_seconds())

    async def run(self) -> None:
        """Ping for ever; belongs to a task of the watching loop."""
        while True:
            if (part := self._vitals.ended()) is not None:
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
            log.warning("the graphs' event loop goes on after %.1f s", self._last_lag)

    def _report(self) -> None:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame else "(no stack)"
        log.warning(
            "the graphs' event loop has been blocked for %.1f s; every run of this runner waits for:",
            self._owed_seconds(),
            extra={"lines": stack},
        )
