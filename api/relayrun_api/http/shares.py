"""Limits how much of this process one caller uses at once: open streams, calls to runners, and searches.

The owner is set once, where the caller is authenticated. All calls to runners on its behalf count towards its share.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from relayrun_api.http.errors import TooManyAtOnce
from relayrun_api.http.rate_limit import subject_of
from relayrun_api.settings.access import AccessSettings
from relayrun_core.connecting import ConnectionSettings
from relayrun_core.database import Database

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


# Less than clients wait for an answer: one that is in the queue for longer is better told to come again.
_QUESTION_WAIT_SECONDS = 5.0
_HELD = "relayrun.held"

_asking: ContextVar[str | None] = ContextVar("asking", default=None)
#: Whether an agent's own code calls, outside of any run: its runner may not be ready before it is answered.
CALLED_BY_AGENT: ContextVar[bool] = ContextVar("called_by_agent", default=False)
#: Whom runners are told that they are asked for: what an author's own authentication says of the caller.
ASKING_USER: ContextVar[Mapping[str, Any] | None] = ContextVar("asking_user", default=None)


class Shares:
    """Of one API process."""

    def __init__(self, settings: AccessSettings) -> None:
        most, questions = settings.most_open, settings.most_questions
        self._open = OwnerShares("requests, streams and subscriptions open", each=most) if most else None
        self._questions = (
            OwnerShares("questions to agents' runners", each=questions, wait_seconds=_QUESTION_WAIT_SECONDS)
            if questions
            else None
        )

    def open(self, owner: str | None, connection: HTTPConnection) -> AbstractAsyncContextManager[None]:
        """One more that the caller has open, until the block's end. Raises TooManyAtOnce."""
        subject = _subject(owner, connection)
        _asking.set(subject)
        return self._open.share(subject) if self._open else nullcontext()

    def asking(self) -> AbstractAsyncContextManager[None]:
        """One more question to a runner, for whoever this task works for. Raises TooManyAtOnce."""
        subject = _asking.get()
        return self._questions.share(subject) if self._questions and subject else nullcontext()

    async def hold(self, owner: str | None, connection: HTTPConnection) -> None:
        """As `open`, until the answer was sent to its end; for routes that are `held`. Raises TooManyAtOnce."""
        held: AsyncExitStack = connection.scope[_HELD]
        await held.enter_async_context(self.open(owner, connection))


def held(app: ASGIApp) -> ASGIApp:
    """The app, for whose requests `Shares.hold` may be called."""

    async def holding(scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as scope[_HELD]:
            await app(scope, receive, send)

    return holding


def _subject(owner: str | None, connection: HTTPConnection) -> str:
    return subject_of(owner, connection.client.host if connection.client else None)


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
