"""Forks, and what a child gives up so that it is as clean as a process that was started."""

import importlib
import locale
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from relayrun_core.process.secrets import show_as


@dataclass(frozen=True)
class Child:
    """What a child becomes: the `main` of a package's `__main__` module, and what it finds around it."""

    package: str
    environment: Mapping[str, str] = field(repr=False)
    folder: str | None = None
    #: Where its output goes; None: where its parent's does.
    output: int | None = None


class Closeable(Protocol):
    """What a child must not have."""

    def close(self) -> None:
        """Let go of it; whoever else has it keeps it."""


class Handlers:
    """The parent's own signal handlers, and what a child has in their place."""

    def __init__(self, handlers: Mapping[signal.Signals, Any], wakeup: int) -> None:
        """`wakeup`: a descriptor that a byte is written into at each of these signals."""
        self._before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

    def give_up(self) -> None:
        """In a child: as before."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)


def fork(handlers: Handlers, own: Iterable[Closeable]) -> int:
    """Fork: 0 in the child, which leads a process group, and has the parent's handlers and its `own` things no more."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # A signal that is meant for the child must not be taken by a handler that it still has from its parent.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        with suppress(OSError):  # both do it, so that neither has to wait for the other; the child may be gone
            os.setpgid(pid, pid)
        if pid == 0:
            handlers.give_up()
            for each in own:
                each.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def become(child: Child) -> Callable[[], Any]:
    """Be `child`, in a process that was just forked; returned is its main function, to be called when the
    parent's own functions have returned.

    Its program ends as any does: non-daemon threads, `atexit`, and an exit code.
    """
    if child.output is not None:
        for stream in (1, 2):
            os.dup2(child.output, stream)
        os.close(child.output)
    os.environ.clear()
    os.environ.update(child.environment)
    time.tzset()
    _set_locale()
    if child.folder is not None:
        os.chdir(child.folder)
    module = importlib.import_module(f"{child.package}.__main__")
    # What multiprocessing imports anew in the processes that author code starts.
    sys.modules["__main__"] = module
    sys.argv = [str(module.__file__)]
    settings_first = sorted(child.environment.items(), key=lambda item: not item[0].startswith("RELAYRUN_"))
    # As this process was called: there is no room for more.
    show_as([sys.orig_argv[0], "-P", "-m", child.package], dict(settings_first))
    importlib.invalidate_caches()
    _reseed()
    main: Callable[[], Any] = module.main
    return main


def _set_locale() -> None:
    """As Python does when it starts: a preloaded module may have set another."""
    locale.setlocale(locale.LC_ALL, "C")
    with suppress(locale.Error):  # the environment's is not installed
        locale.setlocale(locale.LC_CTYPE, "")


def _reseed() -> None:
    """Where chance does not come from the kernel at each use. The rest (`secrets`, uuid4, ssl) does."""
    random.seed()  # it also does so by itself; a preloaded module may have put another generator in its place
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
