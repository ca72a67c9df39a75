"""Ends of children: told once each, with what is left of their process group ended first."""

import ctypes
import os
import signal
from collections.abc import Collection, Iterator
from contextlib import suppress

_PR_SET_CHILD_SUBREAPER = 36


def reap(leaders: Collection[int]) -> Iterator[tuple[int, int]]:
    """Each child that has ended, with its exit code as `subprocess` tells it. Does not wait.

    `leaders` lead a process group each: what is left in it is killed while its number cannot be anybody else's.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        if ended.si_pid in leaders:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(ended.si_pid, signal.SIGKILL)
        pid, status = os.waitpid(ended.si_pid, 0)
        yield pid, os.waitstatus_to_exitcode(status)


def adopt_orphans() -> None:
    """From now on whatever a descendant leaves behind becomes this process's child, as it is with process 1."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
