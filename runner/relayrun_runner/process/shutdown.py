"""How a runner ends: the signals that stay its own whatever author code sets, and the drain.

Python calls a handler in the main thread between any two instructions, which are seldom those of the code that has set
it: an alarm that outlives its node would raise its TimeoutError in another run, or in the event loop itself.
"""

import asyncio
import functools
import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from relayrun_runner.author_errors import error_text
from relayrun_runner.process.exits import STOPPED, end_process
from relayrun_runner.process.graphs_loop import GraphsLoop
from relayrun_runner.runs.entries import Entry
from relayrun_runner.runs.table import RunTable
from relayrun_runner.runs.watch import WatchStreams

log = logging.getLogger("relayrun.runner")

Handler = Callable[[int, FrameType | None], Any]

# Author code may put something else in its place.
_set = signal.signal
_IMPORT = object()


class Signals:
    """SIGTERM, and SIGINT where it is not ignored. Make it and call its methods in the main thread."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._ours = {signal.SIGTERM}
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._ours.add(signal.SIGINT)

    def install(self) -> None:
        """Call this before author code loads."""
        for number in self._ours:
            _set(number, self._handler)

        @functools.wraps(_set)
        def set_handler(number: int, handler: Any) -> Any:
            if number in self._ours:
                self._refuse(number)
                return signal.getsignal(number)
            return _set(number, _contained(handler) if callable(handler) else handler)

        signal.signal = set_handler  # type: ignore[assignment]  # its handlers are of many types

    def take_back(self) -> None:
        """Have again what author code has set past `signal.signal`, as an event loop's `add_signal_handler` does."""
        for number in self._ours:
            if signal.getsignal(number) != self._handler:
                self._refuse(number)
                _set(number, self._handler)

    def _refuse(self, number: int) -> None:
        name = signal.Signals(number).name
        log.warning("%s drains this runner: a handler of author code for it is not called", name)


def _contained(handler: Handler) -> Handler:
    """The handler; it raises only while the very code is executed that has set it."""
    setter = _executed()

    @functools.wraps(handler)
    def handle(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except BaseException as error:
            if setter is not None and _executed() is setter:
                raise
            log.warning("a signal handler of author code raised %s while other code was executed", error_text(error))

    return handle


def _executed() -> object | None:
    """What the main thread executes: a task, the import of author code, or, as None, something of the event loop's."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return _IMPORT


# After the last run was given back, readers of the watch stream get this long to hear of it.
_TELL_SECONDS = 2.0


async def drain(table: RunTable, graphs_loop: GraphsLoop, watching: WatchStreams, grace_seconds: float) -> None:
    """Drain the runner; belongs to the protocol's loop. After the grace the process ends with what still runs."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake(_: Entry | None) -> None:
        loop.call_soon_threadsafe(changed.set)

    table.watch(wake)
    table.start_draining()
    if not graphs_loop.is_open:
        end_process(STOPPED, "told to stop before it was ready")
    graphs_loop.drain("SIGTERM")
    log.info("draining: no new runs; %s go on elsewhere after their next step", table.active)
    try:
        async with asyncio.timeout(grace_seconds):
            while table.active:
                await changed.wait()
                changed.clear()
    except TimeoutError:
        end_process(STOPPED, f"{table.active} runs did not reach their next step within {grace_seconds:.0f} s")
    finally:
        table.unwatch(wake)
    await watching.closed(_TELL_SECONDS)
