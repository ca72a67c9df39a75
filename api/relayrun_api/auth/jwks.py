"""The public keys of a token issuer: fetched, kept while it is away, and looked for again when one is missing."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import orjson

from relayrun_api.http.errors import IssuerAway

logger = logging.getLogger("relayrun.api.auth")

#: Keys that the issuer has withdrawn are refused after this at the latest.
FRESH_SECONDS = 600.0
#: Unknown key ids make us ask at most this often: anybody can invent them.
FLOOR_SECONDS = 10.0
_RETRY_SECONDS = 10.0
_TIMEOUT_SECONDS = 5.0
_LARGEST = 1_000_000

_ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


@dataclass(frozen=True)
class VerifyingKey:
    """A key, with the algorithms that it is for: never those that the token says."""

    key: jwt.PyJWK | str
    algorithms: tuple[str, ...]


class Jwks:
    """An issuer's JSON Web Key Set (RFC 7517)."""

    def __init__(self, url: str, client: httpx.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.generation = 0
        self._url = url
        self._client = client
        self._clock = clock
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._published: Any = None
        self._asking = asyncio.Lock()
        self._asked = 0
        self._asked_for_unknown = -FLOOR_SECONDS

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["Jwks"]:
        """The keys at `url`, kept fresh until the block's end."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
            keys = cls(url, client)
            freshening = asyncio.create_task(keys.keep_fresh())
            try:
                yield keys
            finally:
                freshening.cancel()
                await asyncio.gather(freshening, return_exceptions=True)

    async def keys_for(self, header: Mapping[str, Any]) -> Sequence[VerifyingKey]:
        """The key that the token's header names; one that is not known is looked for. Raises IssuerAway."""
        if header.get("alg") not in _ASYMMETRIC:
            return ()  # also HS256, whose secret would be a key that everybody can read
        kid = header.get("kid")
        key = self._find(kid)
        if key is None:
            await self._ask_for_unknown()
            key = self._find(kid)
        if not self._keys:
            raise IssuerAway("The keys that tokens are checked with cannot be read: try again in a moment.")
        return () if key is None else (VerifyingKey(key, (key.algorithm_name,)),)

    async def keep_fresh(self) -> None:
        """Fetch the keys now and then, until cancelled."""
        while True:
            async with self._asking:
                done = await self._fetch()
            await asyncio.sleep(FRESH_SECONDS if done else _RETRY_SECONDS)

    def _find(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    async def _ask_for_unknown(self) -> None:
        asked = self._asked
        async with self._asking:
            now = self._clock()
            # Whoever waited for somebody else's question need not ask it again.
            if self._asked == asked and now - self._asked_for_unknown >= FLOOR_SECONDS:
                self._asked_for_unknown = now
                await self._fetch()

    async def _fetch(self) -> bool:
        """Ask the issuer; False: it cannot be asked, and the keys stay as they are."""
        self._asked += 1
        try:
            published = await self._get()
            keys = _usable(published)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
            # The last is a connection that was reset while it was opened: see RunnerTransport.
            logger.warning("cannot read the token issuer's keys at %s: %r", self._url, error)
            return False
        if published != self._published:
            self.generation += 1
        self._keys, self._published = keys, published
        return True

    async def _get(self) -> Any:
        async with self._client.stream("GET", self._url, headers={"Accept": "application/json"}) as response:
            response.raise_for_status()
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST:
                    raise ValueError(f"it is larger than {_LARGEST} bytes")
        return orjson.loads(body)


def _usable(published: Any) -> dict[str | None, jwt.PyJWK]:
    """The keys by id, without those that are not for signatures or of a kind we do not know. Raises ValueError."""
    listed = published.get("keys") if isinstance(published, dict) else None
    found: dict[str | None, jwt.PyJWK] = {}
    for entry in listed if isinstance(listed, list) else []:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(entry)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            logger.info("passing over a key of the token issuer: %s", error)
            continue
        # A symmetric key that is published is no secret.
        if key.algorithm_name in _ASYMMETRIC:
            found[key.key_id] = key
    if not found:
        raise ValueError("it has no key for signatures")
    return found
