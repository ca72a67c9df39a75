"""Cancels tasks reliably."""

import asyncio

_AGAIN_SECONDS = 1.0


async def cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: Python 3.11's `wait_for`, by which the database's pool waits for a free connection, forgets a
    cancel that comes together with what it waits for, and the task would go on for ever.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
