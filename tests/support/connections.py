"""How many connections a part of the system has to a database, as Postgres counts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg

_COUNT = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = %s AND pid <> pg_backend_pid()"""


@dataclass
class Counted:
    """The most that were seen so far, and how often was looked."""

    connection: psycopg.AsyncConnection[tuple[int]]
    application: str
    most: int = 0
    looks: int = 0

    async def now(self) -> int:
        """How many there are."""
        row = await (await self.connection.execute(_COUNT, (self.application,))).fetchone()
        assert row is not None
        self.most, self.looks = max(self.most, row[0]), self.looks + 1
        return row[0]

    async def forever(self) -> None:
        while True:
            await self.now()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def counting(url: str, application: str) -> AsyncIterator[Counted]:
    """Counts the connections of this application name again and again until the block ends."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        counted = Counted(connection, application)
        task = asyncio.create_task(counted.forever())
        try:
            yield counted
        finally:
            task.cancel()
            await asyncio.wait([task])
            await counted.now()
