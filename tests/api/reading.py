"""Readers of a stream that read on while the test does something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tests.api.conftest import Api, open_streams
from tests.support.waiting import until

T = TypeVar("T")


@asynccontextmanager
async def beside(api: Api, reading: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Read until the block ends. The API has the reader's stream when it begins, and no more when it is over."""
    before = open_streams(api)
    task = asyncio.create_task(reading)
    await until(lambda: open_streams(api) == before + 1)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: open_streams(api) == before)


async def until_told(told: list[T], count: int) -> list[T]:
    """The first so many of what grows, once it is there."""
    await until(lambda: len(told) >= count)
    return told[:count]
