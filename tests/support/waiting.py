"""Waiting for a condition, with a limit: what tests do instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Return as soon as `condition` holds; TimeoutError if it does not within the time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def until_it_is(question: Callable[[], Awaitable[bool]], *, seconds: float = 60.0) -> None:
    """The same for a question that has to be awaited."""
    await eventually(question, seconds=seconds)


async def eventually(question: Callable[[], Awaitable[T]], *, seconds: float = 60.0) -> T:
    """What the question is answered, as soon as that is true; TimeoutError if it is not within the time."""
    async with asyncio.timeout(seconds):
        while not (answer := await question()):
            await asyncio.sleep(0.01)
    return answer
