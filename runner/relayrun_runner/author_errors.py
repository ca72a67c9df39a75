"""Errors of author code: they fail only the call that ran it, and carry a traceback for the author.

Wherever author code is called, BaseException is caught: SystemExit of a tool's argparse, KeyboardInterrupt,
GeneratorExit, a CancelledError that nobody asked for, and what authors derive from BaseException themselves.
Tracebacks show the author's own frames, libraries in a line, and the exception itself at the end.
"""

import asyncio
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from traceback import FrameSummary, TracebackException
from typing import TypeVar

from relayrun_core.printable import bounded
from relayrun_core.storable import storable_text

T = TypeVar("T")

#: The package of author files that are no modules of `sys.path`: the name is ours, and the code is not.
GRAPHS = "relayrun_graphs"

# What an author's metaclass says instead may raise.
_CLASS_NAME = type.__dict__["__name__"]


def is_cancelled(error: BaseException) -> bool:
    """Whether the error is a cancel of the current task, and not a CancelledError that author code raised by itself."""
    task = asyncio.current_task()
    return is_a(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def is_a(error: BaseException, *kinds: type[BaseException]) -> bool:
    """As `isinstance`, which asks an object for its `__class__`: an author's may raise there."""
    return issubclass(type(error), kinds)


def is_raised_by_us(error: BaseException) -> bool:
    """Whether our code raised the error itself: author code may raise, or copy, any of our classes."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return False
    package = str(frames[-1].f_globals.get("__name__")).partition(".")[0]
    return package.startswith("relayrun_") and package != GRAPHS


def name_of(error: BaseException) -> str:
    """The exception's name. A GeneratorExit cannot pass an `await`: Python then says that it was ignored."""
    ignored = is_a(error, RuntimeError) and text_of(error).endswith(" ignored GeneratorExit")
    return GeneratorExit.__name__ if ignored else class_of(error)


def class_of(error: BaseException) -> str:
    """The name of the exception's class."""
    return storable_text(_CLASS_NAME.__get__(type(error)))


def error_text(error: BaseException) -> str:
    """`ValueError: what it says`; only the name where it says nothing, or where its own `__str__` fails."""
    name = class_of(error)
    text = text_of(error)
    return f"{name}: {text}" if text else name


def text_of(error: BaseException) -> str:
    """What the exception says."""
    return safely(lambda: str(error), "")


def safely(make: Callable[[], T], otherwise: T) -> T:
    """What `make` returns; `otherwise` where a method of the author's raises in it."""
    try:
        return make()
    except BaseException:  # noqa: BLE001 - it is about an error already
        return otherwise


_MOST_CHARACTERS = 6_000
_LAST_FRAMES = 3
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")
_OURS = ("relayrun_runner", "relayrun_core")


def compact(error: BaseException) -> str:
    """The error as its author needs it, causes first; where it passed through libraries, only how many frames."""
    return bounded(
        safely(lambda: "\n".join(_told(TracebackException.from_exception(error))), error_text(error)),
        _MOST_CHARACTERS,
    )


def compact_cause(error: BaseException) -> str | None:
    """The same of the exception of author code that an error of ours was raised for; None where there is none."""
    cause = error.__cause__
    if cause is None:
        return None
    theirs = authors_frame(traceback.extract_tb(cause.__traceback__)) is not None or is_a(cause, SyntaxError)
    return compact(cause) if theirs else None


def is_authors(file: str) -> bool:
    """Whether a file is neither Python's, nor an installed package's, nor ours."""
    parts = Path(file).parts
    installed = {"site-packages", "dist-packages", *_OURS}.intersection(parts)
    return not (installed or file.startswith(("<", f"{_STANDARD_LIBRARY}/")))


def authors_frame(frames: Iterable[FrameSummary]) -> FrameSummary | None:
    """The first of the author's own frames."""
    return next((frame for frame in frames if is_authors(frame.filename)), None)


def _told(error: TracebackException) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _told(cause)
        yield "which led to:"
    # An agent may itself be an installed package: then the last frames are likely to be its own.
    installed = [frame for frame in error.stack if _package(frame.filename)][-_LAST_FRAMES:]
    shown = [frame for frame in error.stack if is_authors(frame.filename)] or installed
    for in_full, group in groupby(error.stack, shown.__contains__):
        frames = list(group)
        yield from _lines(frames) if in_full else _libraries(frames)
    yield from "".join(error.format_exception_only()).splitlines()
    for one in error.exceptions or ():
        yield from (f"  {line}" for line in _told(one))


def _lines(frames: list[FrameSummary]) -> Iterator[str]:
    for line in traceback.format_list(frames):
        yield from line.rstrip().splitlines()


def _libraries(frames: list[FrameSummary]) -> Iterator[str]:
    names = [name for frame in frames if (name := _package(frame.filename))]
    if names:
        yield f"  … through {', '.join(dict.fromkeys(names))}"


def _package(file: str) -> str | None:
    """Which installed package a file belongs to; None for Python's own and ours."""
    parts = Path(file).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].removesuffix(".py")
    return None
