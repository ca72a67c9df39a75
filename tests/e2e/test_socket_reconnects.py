"""The event protocol on WebSockets that are cut off again and again: what a client has read in the end is what one
reads that is not, event for event.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from langgraph_sdk import get_client, get_sync_client

from tests.support.cutting import CuttingProxy
from tests.support.dev import Dev
from tests.support.sockets import Event, SocketFollower

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CUTS_EACH = 10
# The SDK opens two, and gives up when one of them is cut off before it was open.
SPARED = 3
GRAPH = "speech"
CHANNELS = ["custom", "updates", "lifecycle"]
Read = tuple[str, list[Event]]
"""A thread's id, and what was told."""


async def test_a_hundred_cut_web_sockets_lose_and_repeat_nothing(compat_dev: Dev) -> None:
    seed = random.randrange(1_000_000)
    print(f"the cuts' seed is {seed}")
    readers = [*[_follower] * 7, *[_client] * 6, *[_synchronous_client] * 3]
    async with AsyncExitStack() as stack:
        port = urlsplit(compat_dev.url).port or 0
        proxies = [
            await stack.enter_async_context(CuttingProxy(port, seed=seed + nth, cuts=CUTS_EACH, spared=SPARED).open())
            for nth in range(len(readers))
        ]
        read = await asyncio.gather(*(read(proxy.url) for read, proxy in zip(readers, proxies, strict=True)))
    cuts = sum((proxy.done for proxy in proxies), Counter[str]())
    print(dict(cuts), [proxy.done.total() for proxy in proxies])
    assert cuts.total() >= 100
    assert len(cuts) == 8
    for thread, told in read:
        assert told == await SocketFollower(compat_dev.url, thread, CHANNELS).read()


async def _follower(url: str) -> Read:
    """As one's own program would."""
    async with get_client(url=url, api_key=None) as sdk:
        thread = (await sdk.threads.create())["thread_id"]
        await sdk.runs.create(thread, GRAPH, input={}, stream_mode=["custom", "updates"])
    follower = SocketFollower(url, thread, CHANNELS)
    return thread, await follower.read()


async def _client(url: str) -> Read:
    """LangGraph's Python SDK, which comes back by itself."""
    found = []
    async with (
        get_client(url=url, api_key=None) as sdk,
        sdk.threads.stream(assistant_id=GRAPH, transport="websocket") as thread,
    ):
        await thread.run.start(input={})
        async for event in thread.subscribe(CHANNELS):
            found.append(dict(event))  # noqa: PERF401 - an async comprehension would not be closed before its client
    return thread.thread_id, found


async def _synchronous_client(url: str) -> Read:
    def read() -> Read:
        with (
            get_sync_client(url=url, api_key=None) as sdk,
            sdk.threads.stream(assistant_id=GRAPH, transport="websocket") as thread,
        ):
            thread.run.start(input={})
            return thread.thread_id, [dict(event) for event in thread.subscribe(CHANNELS)]

    return await asyncio.to_thread(read)
