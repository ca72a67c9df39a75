"""Ends a child process with its parent, and all that it has started with it."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

#: Names the end of a pipe whose other end only the parent holds.
VARIABLE = "RELAYRUN_PARENT_FD"
#: Names the end of a pipe that a process writes a byte into once it is ready, for a parent that waits for that.
READY_VARIABLE = "RELAYRUN_READY_FD"
#: Whatever a process starts inherits this variable of its environment, in a session of its own too.
FAMILY_VARIABLE = "RELAYRUN_FAMILY"

_PROCESSES = Path("/proc")
# What forks while it is looked for is found the next time.
_MOST_LOOKS = 20
_END_SECONDS = 1.0
# Of /proc/<pid>/stat, behind the name (proc(5)).
_PARENT = 1


def exit_with_parent() -> None:
    """End this process and all that it has started when the parent named by RELAYRUN_PARENT_FD dies. Does nothing
    without that variable.

    It watches a pipe, which the kernel closes however the parent ends, on every POSIX system.
    """
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        return
    descriptor = int(text)
    os.set_inheritable(descriptor, False)
    family = os.environ.get(FAMILY_VARIABLE)
    threading.Thread(target=_watch, args=(descriptor, family), name="parent-watch", daemon=True).start()


def take_ready() -> Callable[[], None]:
    """Return a function that notifies the parent that this process is ready, to be called once. Call this before author
    code loads.
    """
    text = os.environ.pop(READY_VARIABLE, None)
    if text is None:
        return lambda: None
    descriptor = int(text)
    os.set_inheritable(descriptor, False)

    def notify() -> None:
        with contextlib.suppress(OSError):  # the parent is gone
            os.write(descriptor, b".")

    return notify


def end_children() -> None:
    """Kill all children of this process, and the orphans that it adopts from them. Needs /proc.

    Returns when there are none left, or after a second.
    """
    for _ in range(_MOST_LOOKS):
        children = [process for process in _processes() if _parent_of(process) == os.getpid()]
        if not children:
            return
        for process in children:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + _END_SECONDS
        for process in children:
            while _runs(process):
                if time.monotonic() > deadline:
                    return
                time.sleep(0.001)


def end_family(family: str) -> None:
    """Kill every process whose environment has this `RELAYRUN_FAMILY`, except this one. Needs /proc."""
    wanted = f"{FAMILY_VARIABLE}={family}".encode()
    for _ in range(_MOST_LOOKS):
        found = [process for process in _processes() if wanted in _environment(process)]
        if not found:
            return
        for process in found:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)


def _watch(descriptor: int, family: str | None) -> None:
    with contextlib.suppress(OSError):  # somebody has closed it: then nobody would ever be heard
        while os.read(descriptor, 1):
            pass
    if family is not None:
        end_family(family)
    os._exit(0)


def _processes() -> list[int]:
    found = [int(entry.name) for entry in _PROCESSES.glob("[0-9]*")]
    return [process for process in found if process != os.getpid()]


def _environment(process: int) -> list[bytes]:
    # As it was at the process's start; one that ends, or is another user's, has none.
    try:
        return (_PROCESSES / str(process) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _parent_of(process: int) -> int:
    try:
        return int((_PROCESSES / str(process) / "stat").read_text().rpartition(")")[2].split()[_PARENT])
    except OSError:
        return 0


def _runs(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False
