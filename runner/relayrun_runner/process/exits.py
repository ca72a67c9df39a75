"""Ends the runner's process at once. It needs no clean-up: its runs go on elsewhere."""

import logging
import os
import sys
from typing import NoReturn

log = logging.getLogger("relayrun.runner")

#: Drained, or told twice to stop.
STOPPED = 0
#: Something of ours broke; unlike a stuck node, the run that did it is held to account, or it would break every runner.
BROKE = 1
#: A cancelled node did not stop within its grace (EX_SOFTWARE in sysexits.h).
NODE_STUCK = 70
#: An event loop, a thread or a pool that every run needs has ended (EX_OSERR): a process without it must not live on.
PART_ENDED = 71

# Author code may put something else in its place.
_exit = os._exit


def end_process(code: int, why: str) -> NoReturn:
    """End this process at once, with whatever it runs; `why` is its last line in the log."""
    try:
        log.warning("this runner ends: %s", why)
        logging.shutdown()
        sys.stderr.flush()
    finally:
        _exit(code)


def end_broken() -> NoReturn:
    """End this process, whose pool lost its connections: it would stay ready, and every run would wait in it."""
    end_process(PART_ENDED, "its pool gives no connection although the database answers")
