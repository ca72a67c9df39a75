"""Imports of a start, at less than they cost by themselves."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Libraries import these where they are installed, and no process of ours calls them.
_UNUSED = (
    "httpx._main",  # the command line of httpx, with rich and pygments: 60 ms
)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import modules that stay for the life of the process.

    The garbage collector does not run meanwhile, and never looks at them later: looking among so many objects is a
    tenth of the time of an import, and a pause ever after.
    """
    skipped = [name for name in _UNUSED if name not in sys.modules]
    for name in skipped:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to make an import fail
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collected:  # not within another one
            gc.enable()
        for name in skipped:
            if sys.modules.get(name) is None:
                del sys.modules[name]
