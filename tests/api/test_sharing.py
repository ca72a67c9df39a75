"""Shares by owner: whoever has as much open as it may is refused, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from websockets.exceptions import InvalidStatus

from relayrun_api.settings import ApiSettings
from tests.api.access import HS256, as_user
from tests.api.conftest import Api, opened
from tests.api.runnerdouble import runner_double
from tests.api.test_protocol_socket import Talk, connected
from tests.api.test_refusals import check_problem
from tests.support.waiting import until, until_it_is

ALICE, BOB = as_user("alice"), as_user("bob")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> ApiSettings:
    return ApiSettings(
        database_url=database_url,
        runners_file=tmp_path / "runners.json",
        runner_token=SecretStr("secret"),
        open_per_owner=3,
        questions_per_owner=2,
        **HS256,
    )


@pytest.fixture
async def api(settings: ApiSettings) -> AsyncIterator[Api]:
    async with opened(settings) as running:
        yield running


async def new_thread(api: Api, headers: dict[str, str]) -> str:
    made = await api.http.post("/threads", json={}, headers=headers)
    assert made.status_code == 200, made.text
    thread_id: str = made.json()["thread_id"]
    return thread_id


async def streamed(stack: AsyncExitStack, api: Api, headers: dict[str, str], method: str, path: str, body: Any) -> None:
    """An answer that goes on; once the server has noticed that those before have ended."""
    opened_now: list[httpx.Response] = []

    async def accepted() -> bool:
        request = api.http.build_request(method, path, json=body, headers=headers)
        response = await api.http.send(request, stream=True)
        if response.status_code == 429:
            await response.aclose()
            return False
        opened_now.append(response)
        return True

    await until_it_is(accepted)
    stack.push_async_callback(opened_now[0].aclose)
    assert opened_now[0].status_code == 200, path


async def until_there_is_room(api: Api, thread_id: str) -> None:
    """The server notices a moment later that a client has left."""

    async def there_is() -> bool:
        return (await api.http.get(f"/threads/{thread_id}", headers=ALICE)).status_code == 200

    await until_it_is(there_is)


async def test_streams_of_every_kind_count_and_their_end_makes_room(api: Api) -> None:
    thread, other = await new_thread(api, ALICE), await new_thread(api, ALICE)
    run = (await api.http.post(f"/threads/{thread}/runs", json={"assistant_id": "steps"}, headers=ALICE)).json()
    kinds: list[tuple[str, str, Any]] = [
        ("GET", f"/threads/{thread}/stream", None),
        ("POST", f"/threads/{thread}/stream/events", {"channels": ["lifecycle"]}),
        ("GET", f"/threads/{thread}/runs/{run['run_id']}/join", None),
        ("GET", f"/threads/{thread}/runs/{run['run_id']}/stream", None),
        ("GET", f"/chat/{run['run_id']}", None),
        ("POST", "/runs/wait", {"assistant_id": "steps"}),
        ("POST", "/invoke", {"message": "hi", "thread_id": "chat", "assistant_id": "talk"}),
    ]
    for method, path, body in kinds:
        async with AsyncExitStack() as open_now:
            for again in range(3):
                fresh = {**body, "thread_id": f"chat-{again}"} if body and "thread_id" in body else body
                await streamed(open_now, api, ALICE, method, path, fresh)
            refused = await api.http.get(f"/threads/{other}", headers=ALICE)
            assert check_problem(refused, 429, "too_many_at_once")["detail"].startswith("You have 3 ")
            assert int(refused.headers["retry-after"]) >= 1
            with pytest.raises(InvalidStatus) as denied:
                async with connected(api, other, additional_headers=ALICE):
                    raise AssertionError("a fourth was let in")
            assert denied.value.response.status_code == 429
            assert (await api.http.get("/threads/none", headers=BOB)).status_code == 422

        await until_there_is_room(api, other)


async def test_sockets_and_their_subscriptions_count(api: Api) -> None:
    thread, theirs = await new_thread(api, ALICE), await new_thread(api, BOB)
    async with connected(api, thread, additional_headers=ALICE) as talk:
        identity = await talk.subscribe("lifecycle")
        await talk.subscribe("values")
        refused = await talk.ask("subscription.subscribe", {"channels": ["lifecycle"]})
        assert refused["type"] == "error"
        assert "at once" in refused["message"]
        assert (await api.http.get(f"/threads/{thread}", headers=ALICE)).status_code == 429
        async with connected(api, theirs, additional_headers=BOB) as other:
            await other.subscribe("lifecycle")
        await talk.ask("subscription.unsubscribe", {"subscription_id": identity})
        await talk.subscribe("lifecycle")
    await until_there_is_room(api, thread)
    async with connected(api, thread, additional_headers=ALICE) as talk:
        await _eventually_subscribed(talk)


async def _eventually_subscribed(talk: Talk) -> None:
    """Once the server has noticed that the connection before is gone with all of its subscriptions."""

    async def accepted() -> bool:
        return bool((await talk.ask("subscription.subscribe", {"channels": ["values"]}))["type"] == "success")

    await until_it_is(accepted)
    await until_it_is(accepted)


async def test_one_owners_slow_questions_to_runners_delay_no_others(api: Api, settings: ApiSettings) -> None:
    threads = {"alice": (await _ran(api, ALICE), ALICE), "bob": (await _ran(api, BOB), BOB)}
    (slow, _), (quick, _) = threads["alice"], threads["bob"]
    async with runner_double(settings) as double, asyncio.TaskGroup() as asking:
        double.silent_about = {slow}

        async def ask(thread_id: str, headers: dict[str, str]) -> httpx.Response:
            return await api.http.get(f"/threads/{thread_id}/state/c1", headers=headers, timeout=60)

        tasks = [asking.create_task(ask(slow, ALICE)) for _ in range(3)]
        await until(lambda: len(double.asked) == 2)
        for _ in range(5):
            assert (await ask(quick, BOB)).status_code == 200
        assert sum(slow in entry["path"] for entry in double.asked) == 2, "the third waits for its turn"
        double.speaks.set()
    assert [task.result().status_code for task in tasks] == [200] * 3


async def _ran(api: Api, headers: dict[str, str]) -> str:
    run = await api.http.post("/runs", json={"assistant_id": "steps", "on_completion": "keep"}, headers=headers)
    thread_id: str = run.json()["thread_id"]
    return thread_id


async def test_one_owner_with_many_sockets_and_subscriptions_leaves_the_pool_whole(
    settings: ApiSettings,
) -> None:
    """Ten sockets with 64 subscriptions each, closed again and again, once took all connections of the process."""
    async with opened(settings.model_copy(update={"open_per_owner": 0})) as api:
        thread = await new_thread(api, ALICE)
        for _ in range(3):
            async with AsyncExitStack() as stack:
                for _ in range(10):
                    talk = await stack.enter_async_context(connected(api, thread, additional_headers=ALICE))
                    for _ in range(16):
                        await talk.subscribe("lifecycle", "values")
        assert (await api.http.get("/readyz")).status_code == 200
        assert (await api.http.get(f"/threads/{thread}", headers=ALICE)).status_code == 200


@pytest.mark.parametrize(
    ("said", "most"),
    [
        ({"auth": "none"}, (0, 0)),
        ({"auth": "none", "world": "kubernetes"}, (500, 16)),
        (HS256, (500, 16)),
        ({**HS256, "open_per_owner": 0, "questions_per_owner": 5}, (0, 5)),
        ({"auth": "none", "open_per_owner": 7, "questions_per_owner": 8}, (7, 8)),
    ],
)
def test_whoever_is_alone_shares_with_nobody(said: dict[str, Any], most: tuple[int, int]) -> None:
    settings = ApiSettings(**said)
    assert (settings.most_open, settings.most_questions) == most


async def test_without_authentication_addresses_share(settings: ApiSettings) -> None:
    by_address = settings.model_copy(update={"auth": ["none"], "open_per_owner": 1, "trusted_proxies": ["127.0.0.1"]})
    async with opened(by_address) as api:
        first, second = ({"X-Forwarded-For": address} for address in ("192.0.2.1", "192.0.2.2"))
        thread = await new_thread(api, first)
        async with AsyncExitStack() as stack:
            await streamed(stack, api, first, "GET", f"/threads/{thread}/stream", None)
            assert (await api.http.get(f"/threads/{thread}", headers=first)).status_code == 429
            assert (await api.http.get(f"/threads/{thread}", headers=second)).status_code == 200
