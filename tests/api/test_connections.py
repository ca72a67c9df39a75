"""An API process has few connections to the database, however many clients it has."""

from __future__ import annotations

import asyncio

import httpx

from relayrun_core.database import Database
from tests.api.process import api_process
from tests.support.connections import counting
from tests.support.waiting import until_it_is

CLIENTS = 24
CALLS = 3


async def use(client: httpx.AsyncClient) -> None:
    for _ in range(CALLS):
        made = await client.post("/threads", json={})
        assert made.is_success, made.text
        thread = made.json()["thread_id"]
        run = await client.post(f"/threads/{thread}/runs", json={"assistant_id": "talk", "input": {}})
        assert run.is_success, run.text
        for answer in await asyncio.gather(
            client.post("/threads/search", json={"limit": 5}),
            client.post("/assistants/search", json={}),
            client.get(f"/threads/{thread}"),
            client.get(f"/threads/{thread}/runs"),
        ):
            assert answer.is_success, answer.text


async def test_an_api_under_load_has_at_most_ten_connections_and_one_that_listens(database: Database) -> None:
    async with (
        counting(database.url, "relayrun-api") as counted,
        counting(database.url, "relayrun-listen-relayrun_events") as listening,
        api_process(database.url, database_idle_seconds="1") as api,
        httpx.AsyncClient(base_url=api.url, timeout=120, limits=httpx.Limits(max_connections=CLIENTS)) as client,
    ):
        await asyncio.gather(*(use(client) for _ in range(CLIENTS)))
        assert 2 < counted.most <= 10, counted
        assert listening.most == 1

        async def rests() -> bool:
            return await counted.now() <= 3

        await until_it_is(rests)


async def test_the_fewest_connections_serve_all_clients(database: Database) -> None:
    async with (
        counting(database.url, "relayrun-api") as counted,
        api_process(database.url, database_connections="4") as api,
        httpx.AsyncClient(base_url=api.url, timeout=120, limits=httpx.Limits(max_connections=8)) as client,
    ):
        await asyncio.gather(*(use(client) for _ in range(8)))
        assert counted.most <= 4, counted
