"""How long a stream that has no end of its own may outlive what its caller proved at its beginning.

A token expires and a key is revoked while somebody follows a thread: who it is is asked again now and then, and whoever
is refused by now is cut off, to come back with a new token. What is about one run is not: that ends with the run.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, TypeVar

import psycopg
from fastapi import Depends
from psycopg_pool import PoolTimeout
from starlette.requests import HTTPConnection, Request

from relayrun_api.auth.principal import Authenticator
from relayrun_api.errors import ApiError
from relayrun_api.stream.response import Truncated

T = TypeVar("T")

#: Between two questions; the streams it is for are heard of every 5 s at least.
CHECK_SECONDS = 30.0
_REFUSED = (401, 403)


class NoLongerAccepted(Truncated):
    """The caller's token has expired since, or its key was revoked."""


class StillAccepted:
    """Asks whether the caller of a connection would be let in now as well."""

    def __init__(self, authenticator: Authenticator, connection: HTTPConnection) -> None:
        self._authenticator = authenticator
        self._connection = connection

    async def guard(self, source: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """What the source yields. Raises NoLongerAccepted."""
        asked = time.monotonic()
        async with aclosing(source) as parts:
            async for part in parts:
                if time.monotonic() - asked >= CHECK_SECONDS:
                    await self._require()
                    asked = time.monotonic()
                yield part

    async def _require(self) -> None:
        try:
            if await self._authenticator.authenticate(self._connection) is None:
                raise NoLongerAccepted
        except ApiError as error:
            if error.status in _REFUSED:
                raise NoLongerAccepted from error
            return  # who would know is away, and was not at the beginning
        except (psycopg.Error, PoolTimeout):
            return  # as above


async def _of_request(request: Request) -> StillAccepted:
    return StillAccepted(request.app.state.authenticator, request)


#: Who calls a route with a stream that has no end, for as long as it lasts.
WhileAccepted = Annotated[StillAccepted, Depends(_of_request)]
