"""How much of this process one caller may have at once: what is open, and what is asked of runners.

Whose share something is, is said once, where the caller becomes known; what asks a runner on its behalf, however deep
below, counts for it.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from contextvars import ContextVar
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from relayrun_api.http.limits import subject_of
from relayrun_api.http.shares import OwnerShares
from relayrun_core.settings import AccessSettings

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
