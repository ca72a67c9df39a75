"""Checks again, while an endless stream is open, whether its caller may still read it.

A token expires, a key is revoked, or a thread is not shared any more while somebody follows it: who it is and whether
they may read is asked again now and then, and whoever is refused by now is cut off, to come back with a new token. What
is about one run is not: that ends with the run.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, TypeVar

import psycopg
from fastapi import Depends
from psycopg_pool import PoolTimeout
from starlette.requests import HTTPConnection, Request

from relayrun_api.auth.admission import admitted_on
from relayrun_api.auth.permissions import AccessCheck, RequestData
from relayrun_api.auth.principal import Authenticator, Principal
from relayrun_api.http.errors import ApiError, ThreadNotFound, Unauthenticated
from relayrun_api.http.streamed import Truncated

T = TypeVar("T")
See = Callable[[Principal], Awaitable[object]]

#: Between two questions; the streams it is for are heard of every 5 s at least.
CHECK_SECONDS = 30.0
_REFUSED = (Unauthenticated.status, 403, ThreadNotFound.status)


class NoLongerAccepted(Truncated):
    """The caller's token has expired since, its key was revoked, or it may not read the thread any more."""

    def __init__(self, status: int) -> None:
        """`status`: what the caller would be answered now."""
        super().__init__()
        self.status = status


class StillAccepted:
    """Asks whether the caller of a connection would be let in now as well, to read the thread of its path."""

    def __init__(self, authenticator: Authenticator, connection: HTTPConnection) -> None:
        self._authenticator = authenticator
        self._connection = connection

    async def guard(self, source: AsyncGenerator[T], see: See) -> AsyncGenerator[T]:
        """What the source yields. `see` raises ThreadNotFound for who does not see the thread.

        Raises NoLongerAccepted.
        """
        asked = time.monotonic()
        async with aclosing(source) as parts:
            async for part in parts:
                if time.monotonic() - asked >= CHECK_SECONDS:
                    await self._require(see)
                    asked = time.monotonic()
                yield part

    async def _require(self, see: See) -> None:
        try:
            caller = await admitted_on(self._authenticator, self._connection, _reading)
            if caller is None:
                raise NoLongerAccepted(Unauthenticated.status)
            await see(caller)
        except ApiError as error:
            if error.status in _REFUSED:
                raise NoLongerAccepted(error.status) from error
            return  # who would know is away, and was not at the beginning
        except (psycopg.Error, PoolTimeout):
            return  # as above


def _reading(request: RequestData) -> list[AccessCheck]:
    return [AccessCheck("threads", "read", {"thread_id": request.path["thread_id"]})]


async def _of_request(request: Request) -> StillAccepted:
    return StillAccepted(request.app.state.authenticator, request)


#: Who calls a route with a stream that has no end, for as long as it lasts.
WhileAccepted = Annotated[StillAccepted, Depends(_of_request)]
