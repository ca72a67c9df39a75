"""Connections for what may take long: searches, counts and lists, whose work depends on what callers send and keep.

They are few, apart from those of all else, and the server ends a statement that takes too long. One owner's searches
use at most half of them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relayrun_api.http.shares import OwnerShares
from relayrun_core.connecting import ConnectionSettings
from relayrun_core.database import Database


class Reads:
    """Lends the connections, in shares by owner."""

    def __init__(self, database: Database, connections: int, seconds: float) -> None:
        self._database = database
        # Until those that came before were cut off, and some more.
        self._shares = OwnerShares("searches", each=max(1, connections // 2), wait_seconds=3 * seconds)

    @classmethod
    @asynccontextmanager
    async def open(cls, where: str | ConnectionSettings, connections: int, seconds: float) -> AsyncIterator["Reads"]:
        """Connections, so many at most, whose statements may take so many seconds each."""
        async with Database.open(
            where,
            role="api",
            max_size=connections,
            timeout_seconds=3 * seconds,
            parameters={"statement_timeout": f"{round(seconds * 1000)}ms"},
        ) as database:
            yield cls(database, connections, seconds)

    @property
    def broken(self) -> bool:
        """Whether the connections are of no use any more, although the database answers."""
        return self._database.broken

    @asynccontextmanager
    async def by(self, who: str, *, wait_seconds: float | None = None) -> AsyncIterator[Database]:
        """The connections, for as long as the owner's share is held. Raises TooManyAtOnce."""
        async with self._shares.share(who, wait_seconds=wait_seconds):
            yield self._database
