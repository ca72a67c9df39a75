"""What author code raises, and ought not to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langgraph.errors import GraphBubbleUp, GraphDrained, ParentCommand
from langgraph.types import Command


class Odd(BaseException):
    """Neither an error nor an end."""


class Mute(Exception):
    """It cannot be told."""

    def __str__(self) -> str:
        raise SystemExit("mute")

    __repr__ = __str__


class Nameless(type):
    """Its classes have no name."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__name__", "__qualname__", "__module__"):
            raise Odd("no name")
        return super().__getattribute__(name)


class Anonymous(Exception, metaclass=Nameless):
    """It cannot even be named."""


class Loud(Exception):
    """With a message that is large and holds what no JSON does."""

    def __init__(self) -> None:
        super().__init__("\0\ud800\x1b[31m\r\n" + "loud " * 1_000_000)


def deep() -> BaseException:
    error: BaseException = ValueError("the innermost")
    for number in range(3_000):
        outer = ValueError(f"around {number}")
        outer.__cause__ = error
        error = outer
    return error


def round_about() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


KINDS: dict[str, Callable[[], BaseException]] = {
    "exit": lambda: SystemExit(2),  # as argparse does
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
    "cancelled": lambda: asyncio.CancelledError("by the author"),
    "odd": lambda: Odd("not an Exception"),
    "value": lambda: ValueError("an error like any other"),
    "memory": MemoryError,
    "stop": StopIteration,
    "stop async": StopAsyncIteration,
    "timeout": TimeoutError,
    "group": lambda: BaseExceptionGroup("several", [SystemExit(1), ValueError("one of them")]),
    "mute": Mute,
    "anonymous": Anonymous,
    "loud": Loud,
    "deep": deep,
    "round about": round_about,
    "drained": lambda: GraphDrained("says who?"),
    "bubble": GraphBubbleUp,
    "parent": lambda: ParentCommand(Command(graph=Command.PARENT, goto="nowhere")),
}


def throw(kind: str) -> None:
    """Raise it."""
    error = KINDS[kind]()
    raise error
