"""What is imported before a fork, whether that was safe, and whether it is still what the files say."""

import gc
import importlib
import logging
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from relayrun_core.process.imports import quick_imports

log = logging.getLogger("relayrun.forkserver")

_THREADS = Path("/proc/self/task")


class PreloadFailed(Exception):
    """A module cannot be imported, or not before a fork. The message says which, and what to do."""


class Preloaded:
    """The imported modules, and the files that they came from. `before`: what had been imported already."""

    def __init__(self, before: "Preloaded | None" = None) -> None:
        self._files: dict[str, tuple[int, int] | None] = {} if before is None else before._files.copy()
        for file in _module_files():
            if file not in self._files:
                self._files[file] = _stamp(file)

    @property
    def outdated(self) -> bool:
        """Whether a file of an imported module has changed: who imports now would get something else."""
        return any(_stamp(file) != stamp for file, stamp in self._files.items())


def preload(modules: Iterable[str], further: Iterable[str] = (), before: Preloaded | None = None) -> Preloaded:
    """Import `modules`, which are ours, and `further`, which the user says are safe; `before` was imported already.
    Raises PreloadFailed.

    What is imported is left out of garbage collections from then on, so that children share its memory.
    """
    with quick_imports():
        for module in modules:
            importlib.import_module(module)
    gc.disable()
    for module in further:
        _import(module)
    refuse_threads("this Python starts threads before anything else, as a site or .pth file may: remove it")
    loaded = Preloaded(before)
    gc.freeze()
    gc.enable()
    return loaded


def refuse_threads(why: str) -> None:
    """Raise PreloadFailed when Python threads run. Native ones are warned of: a library may see to its own."""
    others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others:
        raise PreloadFailed(
            f"{why} ({', '.join(others)}). A thread does not survive a fork, and a lock that it holds is never freed"
        )


def native_threads() -> int:
    """How many threads this process has beside its first, those that Python does not know of included."""
    return len(list(_THREADS.iterdir())) - 1 if _THREADS.exists() else 0


def _import(module: str) -> None:
    before = native_threads()
    try:
        importlib.import_module(module)
    except Exception as error:
        raise PreloadFailed(
            f"RELAYRUN_PRELOAD: {module} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    refuse_threads(f"RELAYRUN_PRELOAD: {module} starts threads when it is imported: take it out")
    if started := native_threads() - before:
        log.warning(
            "RELAYRUN_PRELOAD: %s starts %s native threads when it is imported, which no runner has: see whether it is"
            " made for forks, or let it start none (for numpy, OPENBLAS_NUM_THREADS=1)",
            module,
            started,
        )


def _module_files() -> list[str]:
    found = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return [file for file in found if isinstance(file, str)]


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        status = os.stat(file)  # noqa: PTH116 - of 1,500 files before each fork: a Path takes three times as long
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
