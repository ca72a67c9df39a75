"""Makes the authenticator that the settings ask for.

Tokens come in headers only: what stands in an address ends up in logs, histories and `Referer`.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from starlette.requests import HTTPConnection

from relayrun_api.auth.custom import CustomAuth, Handlers
from relayrun_api.auth.keys import KeyRing
from relayrun_api.auth.loopback import OwnCalls
from relayrun_api.auth.principal import Authenticator, Principal
from relayrun_api.settings import ApiSettings
from relayrun_core.database import Database
from relayrun_core.db.keys import looks_like_key


class Verifier(Protocol):
    """Knows whose a token or key is."""

    async def verify(self, text: str) -> Principal:
        """Its owner. Raises Unauthenticated."""
        ...


class NoAuth:
    """`none`: everybody is an admin, and what they make belongs to nobody."""

    def __init__(self, own_calls: OwnCalls) -> None:
        self._own_calls = own_calls

    async def authenticate(self, connection: HTTPConnection) -> Principal:
        """An admin without a name."""
        # Runs that author code starts are not counted for the address of its runner, which all of them share.
        is_agent = await self._own_calls.caller(connection) is not None
        return Principal(owner=None, admin=True, is_agent=is_agent)


class HeaderAuth:
    """`Authorization: Bearer` with a JWT or an API key, or `X-Api-Key`, as LangGraph's SDKs send it."""

    def __init__(self, tokens: Verifier | None, keys: Verifier | None, own_calls: OwnCalls) -> None:
        self._tokens = tokens
        self._keys = keys
        self._own_calls = own_calls

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """The caller. `Authorization` wins: SDKs add an `X-Api-Key` of LangSmith's unasked."""
        if (own := await self._own_calls.caller(connection)) is not None:
            return own
        text = _bearer(connection)
        if text is None and self._keys is not None:
            text = connection.headers.get("x-api-key")
            return None if text is None else await self._keys.verify(text)
        if text is None:
            return None
        if self._keys is not None and (self._tokens is None or looks_like_key(text)):
            return await self._keys.verify(text)
        assert self._tokens is not None
        return await self._tokens.verify(text)


@asynccontextmanager
async def open_authenticator(
    settings: ApiSettings, database: Database, handlers: Handlers
) -> AsyncIterator[Authenticator]:
    """The authenticator of these settings; an issuer's keys are kept fresh meanwhile. `handlers`: for `custom`."""
    own_calls = OwnCalls(database, settings.runner_tokens)
    if "none" in settings.auth_kinds:
        yield NoAuth(own_calls)
        return
    if "custom" in settings.auth_kinds:
        yield CustomAuth(handlers, KeyRing(database) if "api-key" in settings.auth_kinds else None, own_calls)
        return
    async with AsyncExitStack() as stack:
        tokens: Verifier | None = None
        if "jwt" in settings.auth_kinds:
            # Late: only who checks tokens pays for the cryptography in memory.
            from relayrun_api.auth.tokens import open_tokens

            tokens = await stack.enter_async_context(open_tokens(settings))
        yield HeaderAuth(tokens, KeyRing(database) if "api-key" in settings.auth_kinds else None, own_calls)


def _bearer(connection: HTTPConnection) -> str | None:
    scheme, _, rest = connection.headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else None
