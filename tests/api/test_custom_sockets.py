"""WebSockets of an agent's own web app, through the API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from relayrun_cli.postgres import EmbeddedPostgres
from tests.api.routed import ALICE, Routed, routed
from tests.support.postgres import fresh_database


@pytest.fixture(scope="module")
async def shop(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Routed]:
    async with fresh_database(postgres) as url, routed(url, tmp_path_factory.mktemp("sockets")) as running:
        yield running


def socket(shop: Routed, path: str, **options: Any) -> connect:
    options = {"additional_headers": ALICE, "proxy": None, **options}
    return connect(f"ws{shop.url.removeprefix('http')}{path}", **options)


async def test_messages_go_both_ways_until_the_app_closes(shop: Routed) -> None:
    async with socket(shop, "/echo?room=1", subprotocols=["other", "chat"]) as connection:
        assert connection.subprotocol == "chat"
        told = json.loads(await connection.recv())
        assert (told["user"]["identity"], told["query"]) == ("alice", {"room": "1"})
        assert told["host"] == shop.url.removeprefix("http://")
        for text in ("one", "x" * 1_000_000):
            await connection.send(text)
            assert await connection.recv() == text.encode()
        await connection.send("bye")
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert (connection.close_code, connection.close_reason) == (4001, "as asked")


async def test_a_client_that_leaves_ends_the_apps_side(shop: Routed) -> None:
    ended = shop.noted("socket ends")
    async with socket(shop, "/echo"):
        await shop.until_noted("socket opens")
    await shop.until_noted("socket ends", ended + 1)


async def test_a_browser_sends_its_token_as_a_protocol_which_the_app_does_not_see(shop: Routed) -> None:
    token = ALICE["Authorization"].removeprefix("Bearer ")
    offered = ["relayrun", f"relayrun.bearer.{token}"]
    async with socket(shop, "/echo", additional_headers={}, subprotocols=offered) as connection:
        told = json.loads(await connection.recv())
        assert (connection.subprotocol, told["user"]["identity"], told["offered"]) == ("relayrun", "alice", [])


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        ("/echo", {}, 401, b"unauthenticated"),
        ("/echo", {**ALICE, "Origin": "https://foreign.example"}, 403, b"foreign.example"),
        ("/closed", ALICE, 403, b""),
        ("/closed?tell", ALICE, 418, b"not today"),
        ("/closed?fail", ALICE, 500, b"Internal Server Error"),
        ("/no-such-route", ALICE, 403, b""),
    ],
)
async def test_a_refusal_is_the_apis_or_the_apps(
    shop: Routed, path: str, headers: dict[str, str], status: int, body: bytes
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with socket(shop, path, additional_headers=headers):
            pass
    response = refused.value.response
    assert response.status_code == status
    assert body in response.body
    assert not any(name.lower().startswith("x-relayrun") for name in response.headers)


async def test_an_exception_in_the_app_closes_with_1011(shop: Routed) -> None:
    async with socket(shop, "/echo") as connection:
        await connection.recv()
        await connection.send("fail")
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 1011


async def test_a_runner_that_dies_closes_with_1012(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    async with fresh_database(postgres) as url, routed(url, tmp_path) as mortal:
        async with socket(mortal, "/echo") as connection:
            await connection.recv()
            mortal.runner.kill()
            with pytest.raises(ConnectionClosed):
                await connection.recv()
            assert connection.close_code == 1012
        with pytest.raises(InvalidStatus) as refused:
            async with socket(mortal, "/echo"):
                pass
        assert refused.value.response.status_code == 503
