"""Authenticates callers by API key."""

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.requests import HTTPConnection

from relayrun_api.auth.principal import Principal, Remembered
from relayrun_api.http.errors import Unauthenticated
from relayrun_core.database import Database
from relayrun_core.db.keys import ApiKey, find_key, looks_like_key

#: A revoked key is refused after this at the latest.
REMEMBERED_SECONDS = 5.0
_MOST_REMEMBERED = 1024


class KeyRing:
    """Looks keys up in the database."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = database
        self._clock = clock
        self._remembered: Remembered[ApiKey] = Remembered(_MOST_REMEMBERED)

    async def verify(self, text: str) -> Principal:
        """The key's owner. Raises Unauthenticated."""
        if not looks_like_key(text):
            raise _refusal("This is not an API key of this installation")
        now = self._clock()
        key = self._remembered.get(text, now.timestamp())
        if key is None:
            key = await find_key(self._database, text)
            if key is None:
                raise _refusal("There is no such API key")
            self._remembered.put(text, key, now.timestamp() + REMEMBERED_SECONDS)
        if not key.valid(now):
            raise _refusal(f"API key {key.key_id} has expired or was revoked")
        return Principal(key.owner, key.admin)


def sent_key(connection: HTTPConnection) -> str | None:
    """What a caller sends in the form of a key of this installation."""
    scheme, _, rest = connection.headers.get("authorization", "").partition(" ")
    token = rest.strip() if scheme.lower() == "bearer" else ""
    return next((text for text in (token, connection.headers.get("x-api-key", "")) if looks_like_key(text)), None)


def _refusal(why: str) -> Unauthenticated:
    return Unauthenticated(f"{why}: ask for one that is valid.", error="the API key is not valid")
