"""`get_client()` and `get_sync_client()` of LangGraph's SDK, which without a `url` mean the server they run in.

The SDK would look for langgraph-api in this process. It is told of ours by its public names: whatever takes them from
the SDK later, or has taken them already, gets these.
"""

import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import httpx
import langgraph_sdk
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient

from relayrun_runner.loopback.transport import ADDRESS, AsyncLoopback, Loopback, OwnServer


def install(server: OwnServer) -> None:
    """From now on, clients without a `url` call this server. Call it before author code loads."""
    _replace("get_client", langgraph_sdk.get_client, _async_clients(AsyncLoopback(server)))
    _replace("get_sync_client", langgraph_sdk.get_sync_client, _sync_clients(Loopback(server)))


def _async_clients(transport: AsyncLoopback) -> Callable[..., LangGraphClient]:
    original = langgraph_sdk.get_client
    plain = cache(lambda: original(url=ADDRESS))

    @wraps(original)
    def get_client(*, url: str | None = None, **options: Any) -> LangGraphClient:
        if url is not None:
            return original(url=url, **options)
        like = _like(original, plain, options)
        return LangGraphClient(httpx.AsyncClient(transport=transport, **like))

    return get_client


def _sync_clients(transport: Loopback) -> Callable[..., SyncLangGraphClient]:
    original = langgraph_sdk.get_sync_client
    plain = cache(lambda: original(url=ADDRESS))

    @wraps(original)
    def get_sync_client(*, url: str | None = None, **options: Any) -> SyncLangGraphClient:
        if url is not None:
            return original(url=url, **options)
        return SyncLangGraphClient(httpx.Client(transport=transport, **_like(original, plain, options)))

    return get_sync_client


def _like(original: Callable[..., Any], plain: Callable[[], Any], options: dict[str, Any]) -> dict[str, Any]:
    """How the SDK sets up a client with these options. Each costs it 30 ms, most for certificates that are not used."""
    client: httpx.Client | httpx.AsyncClient = (original(url=ADDRESS, **options) if options else plain()).http.client
    return {"base_url": client.base_url, "headers": client.headers, "timeout": client.timeout}


def _replace(name: str, original: Any, ours: Any) -> None:
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is original:
            setattr(module, name, ours)
