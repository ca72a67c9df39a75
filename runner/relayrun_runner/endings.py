"""How author code may end beside returning: whatever it raises is an error of what it was called for, and of no more.

Wherever author code is called, BaseException is caught: SystemExit of a tool's argparse, KeyboardInterrupt,
GeneratorExit, a CancelledError that nobody asked for, and what authors derive from BaseException themselves.
"""

import asyncio
import traceback
from collections.abc import Callable
from typing import TypeVar

from relayrun_core.storable import storable_text

T = TypeVar("T")

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
    return bool(frames) and str(frames[-1].f_globals.get("__name__")).startswith("relayrun_")


def name_of(error: BaseException) -> str:
    """The exception's name. A GeneratorExit cannot pass an `await`: Python then says that it was ignored."""
    ignored = is_a(error, RuntimeError) and text_of(error).endswith(" ignored GeneratorExit")
    return GeneratorExit.__name__ if ignored else class_of(error)


def class_of(error: BaseException) -> str:
    """The name of the exception's class."""
    return storable_text(_CLASS_NAME.__get__(type(error)))


def told(error: BaseException) -> str:
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
