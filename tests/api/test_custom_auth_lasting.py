"""Streams without an end of their own, under an author's own authorization: they end with the leave to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from relayrun_api.auth import lasting
from relayrun_api.event_protocol import feed
from relayrun_api.http import streamed as response
from relayrun_api.threads import stream as thread_stream
from relayrun_cli.postgres import EmbeddedPostgres
from tests.api.authored import Authored, as_name, authored
from tests.api.test_protocol_socket import Talk, closed_with, url_of
from tests.support.postgres import fresh_database


@pytest.fixture(scope="module")
async def shared_with_bob(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Authored]:
    async with fresh_database(postgres) as url, authored(url, tmp_path_factory.mktemp("lasting")) as place:
        yield place


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handlers are asked as often as a second's tenth, in streams that are silent too."""
    monkeypatch.setattr(lasting, "CHECK_SECONDS", 0.05)
    for module in (thread_stream, feed, response):
        monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.1)


async def share(place: Authored, thread_id: str, *names: str) -> None:
    await place.ask("PATCH", f"/threads/{thread_id}", "alice", {"metadata": {"shared_with": names}})


async def shared_thread(place: Authored) -> str:
    """A thread of alice's that bob may read."""
    thread_id: str = (await place.ask("POST", "/threads", "alice", {}))["thread_id"]
    await share(place, thread_id, "bob")
    return thread_id


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/threads/{t}/stream", None),
        ("POST", "/threads/{t}/stream/events", {"channels": ["values"]}),
    ],
)
async def test_who_may_not_read_any_more_is_cut_off(
    shared_with_bob: Authored, method: str, path: str, body: Any
) -> None:
    thread_id = await shared_thread(shared_with_bob)
    path = path.format(t=thread_id)
    http = shared_with_bob.api.http
    async with (
        asyncio.timeout(10),
        http.stream(method, path, json=body, headers=as_name("bob")) as his,
        http.stream(method, path, json=body, headers=as_name("alice")) as hers,
    ):
        assert (his.status_code, hers.status_code) == (200, 200)
        his_parts, her_parts = his.aiter_bytes(), hers.aiter_bytes()
        for _ in range(3):  # heartbeats, of which each asks the handlers
            assert await anext(his_parts)
        await share(shared_with_bob, thread_id)
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in his_parts:
                pass
        for _ in range(3):
            assert await anext(her_parts)
    assert await shared_with_bob.status(method, path, "bob", body) == 404


async def test_a_web_socket_says_so(shared_with_bob: Authored) -> None:
    thread_id = await shared_thread(shared_with_bob)
    url = url_of(shared_with_bob.api, thread_id)
    async with connect(url, proxy=None, additional_headers=as_name("bob")) as connection:
        await Talk(connection).subscribe("values")
        await share(shared_with_bob, thread_id)
        assert await closed_with(connection) == 4404
