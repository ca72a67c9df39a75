"""Connections for what may take long: searches, counts and lists, whose work depends on what callers send and keep.

They are few, apart from those of all else, and the server ends a statement that takes too long. One owner's searches
use at most half of them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relayrun_api.http.shares import OwnerShares
from relayrun_core.database import Database

_CONNECTIONS = 4
_EACH = _CONNECTIONS // 2


class Reads:
    """Lends the connections, in shares by owner."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        # Until those that came before were cut off, and some more.
        self._shares = OwnerShares("searches", each=_EACH, wait_seconds=3 * seconds)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, seconds: float) -> AsyncIterator["Reads"]:
        """Connections whose statements may take so many seconds each."""
        async with Database.open(
            url,
            role="api",
            max_size=_CONNECTIONS,
            timeout_seconds=3 * seconds,
            parameters=f"-c statement_timeout={round(seconds * 1000)}",
        ) as database:
            yield cls(database, seconds)

    @property
    def broken(self) -> bool:
        """Whether the connections are of no use any more, although the database answers."""
        return self._database.broken

    @asynccontextmanager
    async def by(self, who: str, *, wait_seconds: float | None = None) -> AsyncIterator[Database]:
        """The connections, for as long as the owner's share is held. Raises TooManyAtOnce."""
        async with self._shares.share(who, wait_seconds=wait_seconds):
            yield self._database
