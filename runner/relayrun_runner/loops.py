"""Event loops that author code shares and cannot end.

asyncio hands SystemExit and KeyboardInterrupt of a task or a callback on to whoever runs the loop, which stops with
that, and anybody may call `loop.stop()`. Neither says anything about the other runs of the loop: it goes on. Who awaits
such a task gets the exception as any other.
"""

import asyncio
import logging
import traceback
from collections.abc import Coroutine
from typing import Any, NoReturn

from relayrun_runner.endings import told
from relayrun_runner.exits import PART_ENDED, end_process

log = logging.getLogger("relayrun.runner")


def run_to_end(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run the loop until `main` has ended. Returned is its task, which has its exception, if there is one."""
    task = loop.create_task(main)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        _run(loop)
    return task


def run_for_ever(loop: asyncio.AbstractEventLoop) -> NoReturn:
    """Run the loop as long as the process lives."""
    while True:
        _run(loop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    except BaseException as error:  # noqa: BLE001 - author code may raise anything, in a callback or a task
        if loop.is_closed():
            end_process(PART_ENDED, "one of its event loops was closed")
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.warning("an event loop goes on after %s from %s, line %s", told(error), place.filename, place.lineno)
