"""Author code that calls its own API: `get_client()` and `get_sync_client()` of LangGraph's SDK without a `url`.

The SDK would look for langgraph-api in this process. It is told of ours by its public names: whatever takes them from
the SDK later, or has taken them already, gets these.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any
from weakref import WeakKeyDictionary

import httpx
import langgraph_sdk
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient

from relayrun_core.loopback import HEADER, Caller, Signer
from relayrun_core.rotating import RotatingSecret

#: None: nobody knows, as in a thread that was started without the context of what started it.
CALLER: ContextVar[Caller | None] = ContextVar("relayrun_caller", default=None)


#: Where the SDK says that it is without an address, also in the Agent Server.
ADDRESS = "http://api"

# As the SDK's own clients. A connection is not kept: the next call may come on another event loop, or find another
# replica of the API.
_RETRIES = 5
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)


class OwnServer:
    """Where the API is, and how its caller proves to be author code of this runner."""

    def __init__(self, api_url: str, tokens: RotatingSecret) -> None:
        """`api_url` may be empty: then nothing can be called."""
        self._url = httpx.URL(api_url) if api_url else None
        self._tokens = tokens

    def addressed(self, request: httpx.Request) -> httpx.Request:
        """The request as it is sent. Raises RuntimeError where nobody knows the API's address."""
        if self._url is None:
            raise RuntimeError("this runner does not know its API: set RELAYRUN_API_URL, or give the client a `url`")
        path = self._url.raw_path.rstrip(b"/") + request.url.raw_path
        url = request.url.copy_with(scheme=self._url.scheme, host=self._url.host, port=self._url.port, raw_path=path)
        headers = request.headers.copy()
        headers["host"] = url.netloc.decode("ascii")
        headers.pop(HEADER, None)
        if (caller := CALLER.get()) is not None:
            headers[HEADER] = Signer(*self._tokens.all()).sign(caller, time.time())
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
        self._lock = threading.Lock()
        self._transport: httpx.HTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        return self._made().handle_request(self._server.addressed(request))

    def _made(self) -> httpx.HTTPTransport:
        with self._lock:
            if self._transport is None:  # it reads all certificates, which no start has to wait for
                self._transport = httpx.HTTPTransport(retries=_RETRIES, limits=_LIMITS, trust_env=False)
            return self._transport


class _Installed:
    """The transports of this process's clients; None: before `install`."""

    prepared = False
    for_async: AsyncLoopback | None = None
    for_sync: Loopback | None = None


def prepare() -> None:
    """Have whoever has imported the SDK's functions call ours, which make the SDK's clients until `install`.

    Before a fork: it looks at every module, so that a child would no longer share their memory.
    """
    if _Installed.prepared:
        return
    _Installed.prepared = True
    _replace("get_client", langgraph_sdk.get_client, _async_clients())
    _replace("get_sync_client", langgraph_sdk.get_sync_client, _sync_clients())


def install(server: OwnServer) -> None:
    """From now on, clients without a `url` call this server. Call it before author code loads."""
    prepare()
    _Installed.for_async, _Installed.for_sync = AsyncLoopback(server), Loopback(server)


def _async_clients() -> Callable[..., LangGraphClient]:
    original = langgraph_sdk.get_client
    plain = cache(lambda: original(url=ADDRESS))

    @wraps(original)
    def get_client(*, url: str | None = None, **options: Any) -> LangGraphClient:
        if url is not None or _Installed.for_async is None:
            return original(url=url, **options)
        like = _like(original, plain, options)
        return LangGraphClient(httpx.AsyncClient(transport=_Installed.for_async, **like))

    return get_client


def _sync_clients() -> Callable[..., SyncLangGraphClient]:
    original = langgraph_sdk.get_sync_client
    plain = cache(lambda: original(url=ADDRESS))

    @wraps(original)
    def get_sync_client(*, url: str | None = None, **options: Any) -> SyncLangGraphClient:
        if url is not None or _Installed.for_sync is None:
            return original(url=url, **options)
        return SyncLangGraphClient(httpx.Client(transport=_Installed.for_sync, **_like(original, plain, options)))

    return get_sync_client


def _like(original: Callable[..., Any], plain: Callable[[], Any], options: dict[str, Any]) -> dict[str, Any]:
    """How the SDK sets up a client with these options. Each costs it 30 ms, most for certificates that are not used."""
    client: httpx.Client | httpx.AsyncClient = (original(url=ADDRESS, **options) if options else plain()).http.client
    return {"base_url": client.base_url, "headers": client.headers, "timeout": client.timeout}


def _replace(name: str, original: Any, ours: Any) -> None:
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is original:
            setattr(module, name, ours)
