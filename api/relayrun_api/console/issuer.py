"""The hosts of the OpenID issuer at which people sign in: its own, and its token endpoint's where that is another."""

import asyncio
import logging
import time
from urllib.parse import urlsplit

import httpx

logger = logging.getLogger("relayrun.api.console")

_DISCOVERY = "/.well-known/openid-configuration"
_FRESH_SECONDS = 600.0
_AGAIN_SECONDS = 10.0
# The page waits for it once; without it, the issuer's own host is all that the page may ask.
_TIMEOUT_SECONDS = 2.0


class IssuerHosts:
    """What the page may ask besides this server, as origins."""

    def __init__(self, issuer: str | None) -> None:
        self._issuer = issuer
        self._own = origin_of(issuer or "")
        self._token: str | None = None
        self._ask_at = 0.0
        self._asking = asyncio.Lock()

    async def origins(self) -> list[str]:
        """The issuer's, and its token endpoint's as far as the issuer says it."""
        if self._issuer is not None and time.monotonic() >= self._ask_at:
            async with self._asking:
                if time.monotonic() >= self._ask_at:
                    await self._ask(self._issuer)
        return list(dict.fromkeys(origin for origin in (self._own, self._token) if origin))

    async def _ask(self, issuer: str) -> None:
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
                answer = (await client.get(issuer.rstrip("/") + _DISCOVERY)).raise_for_status().json()
            self._token, pause = origin_of(str(answer["token_endpoint"])), _FRESH_SECONDS
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            logger.warning("the issuer %s does not say where its token endpoint is: %r", issuer, error)
            pause = _AGAIN_SECONDS
        self._ask_at = time.monotonic() + pause


def origin_of(url: str) -> str | None:
    """Scheme and host, as a Content-Security-Policy takes them; None for what is no such URL."""
    where = urlsplit(url)
    # Whatever else stands in it would end the directive.
    plain = not any(sign in where.netloc for sign in " ;,'\"@")
    return f"{where.scheme}://{where.netloc}" if where.scheme in ("https", "http") and where.netloc and plain else None
