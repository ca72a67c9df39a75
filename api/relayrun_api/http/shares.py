"""Shares of what all callers have in common: no one of them can take it all, whatever it sends and however slowly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from relayrun_api.http.errors import TooManyAtOnce

#: Whoever is told to come back is told so for this many seconds.
_RETRY_SECONDS = 1


@dataclass
class _Share:
    room: asyncio.Semaphore
    #: Those inside and those who wait; a share without any is forgotten.
    users: int = field(default=0)


class OwnerShares:
    """At most `each` at once of every owner's, of something that is called `what`.

    Whoever comes when its owner's share is in use waits, in order, `wait_seconds` at most, and with at most `waiting`
    others. Others' shares are not touched: give the thing itself, for example a pool, more room than `each`.
    """

    def __init__(self, what: str, *, each: int, wait_seconds: float = 0.0, waiting: int = 100) -> None:
        self._what = what
        self._each = each
        self._wait_seconds = wait_seconds
        self._waiting = waiting
        self._shares: dict[str | None, _Share] = {}

    def used(self, owner: str | None) -> int:
        """How many of an owner's are inside or wait."""
        share = self._shares.get(owner)
        return share.users if share else 0

    @asynccontextmanager
    async def share(self, owner: str | None, *, wait_seconds: float | None = None) -> AsyncIterator[None]:
        """Be inside until the block's end; `wait_seconds` in place of the usual. Raises TooManyAtOnce.

        `owner`: whoever shares with nobody else, as `limits.subject_of` names it where nobody owns.
        """
        share = self._shares.setdefault(owner, _Share(asyncio.Semaphore(self._each)))
        if share.users >= self._each + self._waiting:
            raise self._refusal()
        share.users += 1
        try:
            await self._enter(share, self._wait_seconds if wait_seconds is None else wait_seconds)
            try:
                yield
            finally:
                share.room.release()
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[owner]

    async def _enter(self, share: _Share, wait_seconds: float) -> None:
        if share.room.locked() and wait_seconds <= 0:
            raise self._refusal()
        try:
            async with asyncio.timeout(wait_seconds or None):
                await share.room.acquire()
        except TimeoutError:
            raise self._refusal() from None

    def _refusal(self) -> TooManyAtOnce:
        return TooManyAtOnce(
            f"You have {self._each} {self._what} at once, which is as many as you may: wait for one of them to end.",
            headers={"Retry-After": str(_RETRY_SECONDS)},
        )
