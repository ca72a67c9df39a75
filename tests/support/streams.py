"""A test's own server for whatever it wants to say on a connection, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving_streams(serve: Serve, port: int = 0, **options: Any) -> AsyncIterator[int]:
    """Call `serve` for each connection until the block ends; the port is given. `options` are `asyncio.start_server`'s.

    At the end every connection is closed, also one that has just come and that `serve` has not seen: asyncio leaves
    such a one open, and a test that runs later is blamed for it.
    """
    tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
    over = False

    async def carry_out(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if over:
            writer.transport.abort()
            return
        task = asyncio.create_task(carry_out(reader, writer))
        tasks[task] = writer
        task.add_done_callback(lambda done: None if over else tasks.pop(done, None))

    server = await asyncio.start_server(connected, "127.0.0.1", port, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over = True
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in tasks.values():
            writer.transport.abort()
