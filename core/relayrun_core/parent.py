"""A child process that must not outlive its parent: it watches a pipe whose other end only the parent holds."""

import os
import threading

VARIABLE = "RELAYRUN_PARENT_FD"


def exit_with_parent() -> None:
    """End this process at once when the parent named by RELAYRUN_PARENT_FD dies; without it do nothing.

    A pipe and not a signal: the kernel closes it however the parent ends, and it works on every POSIX system.
    """
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        return
    descriptor = int(text)
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_watch, args=(descriptor,), name="parent-watch", daemon=True).start()


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os._exit(0)
