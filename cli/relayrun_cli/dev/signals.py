"""Ctrl-C and SIGTERM: the first stops in order, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_signalled(work: Coroutine[Any, Any, None], at_once: Callable[[], None]) -> None:
    """Do `work` until a signal cancels it. A second signal calls `at_once` and ends the process there and then."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            task.cancel()
            return
        # Children see their lifeline end with us.
        at_once()
        os._exit(128 + number)

    handled = [number for number in SIGNALS if not _ignored(number)]
    for number in handled:
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def _ignored(number: signal.Signals) -> bool:
    # nohup means it. A shell's `&` ignores SIGINT too, but somebody who sends it by hand means us.
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
