"""The way from author code to the API: requests for `http://api` go to where it is, with the caller's credential."""

import asyncio
import threading
import time
from weakref import WeakKeyDictionary

import httpx

from relayrun_core.loopback import HEADER, Signer
from relayrun_runner.loopback.caller import CALLER

#: Where the SDK says that it is without an address, also in the Agent Server.
ADDRESS = "http://api"

# As the SDK's own clients. A connection is not kept: the next call may come on another event loop, or find another
# replica of the API.
_RETRIES = 5
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)


class OwnServer:
    """Where the API is, and how its caller proves to be author code of this runner."""

    def __init__(self, api_url: str, runner_token: str) -> None:
        """`api_url` may be empty: then nothing can be called."""
        self._url = httpx.URL(api_url) if api_url else None
        self._signer = Signer(runner_token)

    def addressed(self, request: httpx.Request) -> httpx.Request:
        """The request as it is sent. Raises RuntimeError where nobody knows the API's address."""
        if self._url is None:
            raise RuntimeError("this runner does not know its API: set RELAYRUN_API_URL, or give the client a `url`")
        url = request.url.copy_with(scheme=self._url.scheme, host=self._url.host, port=self._url.port)
        headers = request.headers.copy()
        headers["host"] = url.netloc.decode("ascii")
        headers.pop(HEADER, None)
        if (caller := CALLER.get()) is not None:
            headers[HEADER] = self._signer.sign(caller, time.time())
        return httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)


class AsyncLoopback(httpx.AsyncBaseTransport):
    """For one client, on whatever event loops it is used: a module may make it before there is any."""

    def __init__(self, server: OwnServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._transports: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncHTTPTransport] = WeakKeyDictionary()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        return await self._here().handle_async_request(self._server.addressed(request))

    def _here(self) -> httpx.AsyncHTTPTransport:
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._transports:
                # A proxy of the environment is not asked: it would see the credential.
                self._transports[loop] = httpx.AsyncHTTPTransport(retries=_RETRIES, limits=_LIMITS, trust_env=False)
            return self._transports[loop]


class Loopback(httpx.BaseTransport):
    """The same for sync clients, in any thread."""

    def __init__(self, server: OwnServer) -> None:
        self._server = server
        self._transport = httpx.HTTPTransport(retries=_RETRIES, limits=_LIMITS, trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        return self._transport.handle_request(self._server.addressed(request))
