"""Sends one webhook: looks the receiver's name up once, checks the address, and calls that very address.

Signed as Standard Webhooks says (standardwebhooks.com), for which there are libraries in many languages.
"""

import asyncio
import base64
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import ip_address
from types import MappingProxyType

import httpx

from relayrun_api import __version__
from relayrun_api.http.errors import Invalid
from relayrun_api.settings.webhooks import signing_key
from relayrun_api.webhooks.rules import Address, WebhookRules
from relayrun_core.rotating import RotatingSecret

#: A try takes no longer, the look-up included.
LIMIT_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_ADDRESSES = 3
_LOOKUPS = 8
_GONE = 410
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class NotTaken(Exception):
    """The receiver has not taken it. `final`: it need not be asked again."""

    def __init__(self, problem: str, *, final: bool = False) -> None:
        super().__init__(problem)
        self.final = final


class WebhookSender:
    """Calls receivers."""

    def __init__(self, rules: WebhookRules, secrets: RotatingSecret, client: httpx.AsyncClient) -> None:
        self._rules = rules
        self._secrets = secrets
        self._client = client
        # A name server that never answers must not take the threads in which all else is looked up.
        self._lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook-lookup")

    @classmethod
    @asynccontextmanager
    async def open(cls, rules: WebhookRules, secrets: RotatingSecret) -> AsyncIterator["WebhookSender"]:
        """A poster without proxies, cookies or redirects, and with a connection of its own for each call."""
        async with httpx.AsyncClient(
            # Made here, because without the environment httpx would not look for a bundle of certificates there.
            verify=httpx.create_ssl_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(LIMIT_SECONDS, connect=_CONNECT_SECONDS),
            # Never a connection twice: it is known by its address, and was made for one name of that.
            limits=httpx.Limits(max_keepalive_connections=0),
        ) as client:
            poster = cls(rules, secrets, client)
            try:
                yield poster
            finally:
                poster._lookups.shutdown(wait=False, cancel_futures=True)

    async def post(
        self, text: str, identity: str, body: bytes, seconds: int, headers: Mapping[str, str] = _NO_HEADERS
    ) -> None:
        """Tell the receiver at this URL, at this time (seconds since the epoch), with what it wants beside our own
        `headers`. Raises NotTaken.
        """
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await self._post(text, identity, body, seconds, headers)
        except TimeoutError as error:
            raise NotTaken(f"no answer within {LIMIT_SECONDS:.0f} s") from error
        except httpx.HTTPError as error:
            raise NotTaken(f"{type(error).__name__}: {error}") from error

    async def _post(self, text: str, identity: str, body: bytes, seconds: int, more: Mapping[str, str]) -> None:
        try:
            url = self._rules.check(text)  # the settings may have changed since it was accepted
        except Invalid as error:
            raise NotTaken(error.detail, final=True) from error
        headers = {
            **more,
            "Host": url.netloc.decode(),
            "Content-Type": "application/json",
            "User-Agent": f"relayrun/{__version__}",
            "Idempotency-Key": identity,
            **signature_headers([signing_key(one) for one in self._secrets.all()], identity, seconds, body),
        }
        addresses = await self._addresses(url)
        for address in addresses[:_ADDRESSES]:
            try:
                await self._call(url, address, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                problem = error  # nothing was sent
            else:
                return
        raise problem

    async def _call(self, url: httpx.URL, address: Address, headers: dict[str, str], body: bytes) -> None:
        request = self._client.build_request(
            "POST",
            url.copy_with(host=str(address)),
            headers=headers,
            content=body,
            # The certificate is the name's, whichever of its addresses is called.
            extensions={"sni_hostname": url.host},
        )
        response = await self._client.send(request, stream=True)
        await response.aclose()  # what it says is not read
        if not response.is_success:
            raise NotTaken(f"it answered {response.status_code}", final=response.status_code == _GONE)

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._lookups, _look_up, url)
        except OSError as error:
            raise NotTaken(f"the name cannot be resolved: {error}") from error
        allowed = self._rules.callable(found, url.scheme)
        if not allowed:
            raise NotTaken("it has no address that this installation may call", final=True)
        return allowed


def signature_headers(keys: Sequence[bytes], identity: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows who sent this and when; without a key the id and the time alone."""
    headers = {"Webhook-Id": identity, "Webhook-Timestamp": str(seconds)}
    if keys:
        signed = b".".join((identity.encode(), str(seconds).encode(), body))
        digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
        headers["Webhook-Signature"] = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return headers


def _look_up(url: httpx.URL) -> list[Address]:
    port = url.port or (443 if url.scheme == "https" else 80)
    answers = socket.getaddrinfo(url.raw_host.decode().strip("[]"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(address[0])) for *_, address in answers))
