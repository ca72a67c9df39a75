"""Idempotency keys: one run for one request, whoever repeats it, wherever, and after whatever crash."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from relayrun_api.settings import ApiSettings
from relayrun_core.db.runs import get_run
from relayrun_core.runs import PendingInterrupt
from tests.api.access import HS256, as_admin, as_user, caller
from tests.api.conftest import Api, opened, serving
from tests.api.play import Attempt
from tests.api.process import api_process
from tests.api.test_refusals import check_problem
from tests.support.waiting import eventually

RUN = {"assistant_id": "steps", "input": {"a": 1, "b": [1, 2]}}
TALK = {"assistant_id": "talk", "message": "hi", "thread_id": "diary"}
KEY = {"Idempotency-Key": "order-4711"}


@pytest.fixture
def settings(database_url: str) -> ApiSettings:
    return ApiSettings(database_url=database_url, rate_limit=5, **HS256)


def run_of(response: httpx.Response) -> UUID:
    assert response.status_code in (200, 202), response.text
    return UUID(response.headers["content-location"].rsplit("/", 1)[1])


def replayed(response: httpx.Response) -> bool:
    return response.headers.get("idempotency-replayed") == "true"


def said(content: bytes) -> list[bytes]:
    """The answer's lines, without what only says that it still comes."""
    return [line for line in content.splitlines() if line and not line.startswith(b":")]


async def runs_there(api: Api) -> int:
    row = await api.database.fetch_one("SELECT count(*) AS number FROM runs")
    assert row is not None
    return int(row["number"])


async def test_the_same_request_twice_is_one_run_and_counts_once(api: Api, alice: httpx.AsyncClient) -> None:
    first = await alice.post("/runs", json=RUN, headers=KEY)
    again = await alice.post("/runs", json=RUN, headers=KEY)
    assert (replayed(first), replayed(again)) == (False, True)
    assert first.json() == again.json()
    assert first.headers["ratelimit"][:10] == again.headers["ratelimit"][:10] == '"runs";r=4'
    assert await runs_there(api) == 1


async def test_the_same_members_in_another_order_are_the_same_request(api: Api, alice: httpx.AsyncClient) -> None:
    headers = {**KEY, "Content-Type": "application/json"}
    first = await alice.post("/runs", content=b'{"assistant_id":"steps","input":{"a":1,"b":2}}', headers=headers)
    again = await alice.post("/runs", content=b'{"input": {"b":2, "a":1}, "assistant_id":"steps"}', headers=headers)
    assert (run_of(first), replayed(again)) == (run_of(again), True)


async def test_another_body_or_another_thread_under_the_same_key_is_422(api: Api, alice: httpx.AsyncClient) -> None:
    threads = [(await alice.post("/threads", json={})).json()["thread_id"] for _ in range(2)]
    path = "/threads/{}/runs"
    assert (await alice.post(path.format(threads[0]), json=RUN, headers=KEY)).status_code == 200
    for where, body in ((threads[0], {**RUN, "input": {}}), (threads[1], RUN)):
        refused = await alice.post(path.format(where), json=body, headers=KEY)
        check_problem(refused, 422, "idempotency_key_reused")
    refused = await alice.post("/runs", json=RUN, headers=KEY)
    check_problem(refused, 422, "idempotency_key_reused")
    assert await runs_there(api) == 1


@pytest.mark.parametrize(
    ("path", "body"), [("/runs/stream", RUN), ("/chat", TALK), ("/runs/wait", RUN), ("/invoke", TALK)]
)
async def test_a_repeated_stream_or_wait_joins_the_run(
    api: Api, alice: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    async with alice.stream("POST", path, json=body, headers=KEY) as first:
        run_id = run_of(first)
        attempt = await Attempt.begin(api.database, run_id)
        await attempt.tell("values", {"messages": [], "steps": [1]})
        async with alice.stream("POST", path, json=body, headers=KEY) as during:
            assert (run_of(during), replayed(during)) == (run_id, True)
            await attempt.succeed({"messages": []})
            one, two = await asyncio.gather(first.aread(), during.aread())
    after = await alice.post(path, json=body, headers=KEY)
    assert (run_of(after), replayed(after)) == (run_id, True)
    assert said(one) == said(two) == said(after.content)
    if path in ("/chat", "/runs/stream"):
        assert (b"event: end" in one) == (path == "/chat")
    else:
        assert orjson.loads(one)
    assert await runs_there(api) == 1


async def test_a_message_that_was_taken_is_replayed_and_not_refused_while_the_thread_asks(
    api: Api, alice: httpx.AsyncClient
) -> None:
    first = await alice.post("/run-task", json=TALK, headers=KEY)
    attempt = await Attempt.begin(api.database, run_of(first))
    await attempt.pause({"messages": []}, PendingInterrupt("a" * 32, "ok?", "task-1"))
    again = await alice.post("/run-task", json=TALK, headers=KEY)
    assert (again.status_code, run_of(again), replayed(again)) == (202, run_of(first), True)
    fresh = await alice.post("/run-task", json=TALK, headers={"Idempotency-Key": "another"})
    check_problem(fresh, 409, "thread_interrupted")


async def test_a_key_whose_request_was_refused_is_free_again(api: Api, alice: httpx.AsyncClient) -> None:
    body = {**TALK, "thread_id": "later"}
    resume = {"resume": "yes", "thread_id": "later", "assistant_id": "talk"}
    check_problem(await alice.post("/run-task", json=resume, headers=KEY), 404, "thread_not_found")
    assert not replayed(await alice.post("/run-task", json=body, headers=KEY))
    for number in range(4):
        await alice.post("/runs", json=RUN, headers={"Idempotency-Key": f"k{number}"})
    limited = await alice.post("/runs", json=RUN, headers={"Idempotency-Key": "k9"})
    check_problem(limited, 429, "rate_limited")
    again = await alice.post("/run-task", json=body, headers=KEY)
    assert (again.status_code, replayed(again)) == (202, True), "a replay is no start"
    await api.database.execute("DELETE FROM run_starts")
    assert not replayed(await alice.post("/runs", json=RUN, headers={"Idempotency-Key": "k9"}))


async def test_a_key_is_its_owners_alone(api: Api, alice: httpx.AsyncClient) -> None:
    mine = await alice.post("/runs", json=RUN, headers=KEY)
    bobs = await api.http.post("/runs", json={**RUN, "input": 1}, headers={**as_user("bob"), **KEY})
    assert not replayed(bobs)
    assert run_of(mine) != run_of(bobs)
    admins = await api.http.post("/runs", json=RUN, headers={**as_admin(), **KEY})
    assert not replayed(admins)


async def test_an_admins_key_holds_on_somebodys_thread(api: Api, alice: httpx.AsyncClient) -> None:
    thread = (await alice.post("/threads", json={})).json()["thread_id"]
    headers = {**as_admin(), **KEY}
    first, again = [await api.http.post(f"/threads/{thread}/runs", json=RUN, headers=headers) for _ in range(2)]
    assert (run_of(first), replayed(again)) == (run_of(again), True)
    demoted = await api.http.post(f"/threads/{thread}/runs", json=RUN, headers={**as_user("root"), **KEY})
    check_problem(demoted, 404, "run_not_found")


async def test_a_key_is_free_after_a_day(api: Api, alice: httpx.AsyncClient) -> None:
    first = await alice.post("/runs", json=RUN, headers=KEY)
    age = "UPDATE idempotency_keys SET created_at = now() - make_interval(hours => %s)"
    await api.database.execute(age, (23,))
    assert replayed(await alice.post("/runs", json=RUN, headers=KEY))
    await api.database.execute(age, (24,))
    other = await alice.post("/runs", json={**RUN, "input": 2}, headers=KEY)
    assert not replayed(other)
    assert run_of(other) != run_of(first)
    assert replayed(await alice.post("/runs", json={**RUN, "input": 2}, headers=KEY))


async def test_a_forgotten_run_is_not_started_again(api: Api, alice: httpx.AsyncClient) -> None:
    run = (await alice.post("/runs", json=RUN, headers=KEY)).json()
    await (await Attempt.begin(api.database, run["run_id"])).succeed()
    await alice.delete(f"/threads/{run['thread_id']}")
    check_problem(await alice.post("/runs", json=RUN, headers=KEY), 404, "run_not_found")
    assert await runs_there(api) == 0


@pytest.mark.parametrize("rate_limit", [0, 5])
async def test_twenty_at_once_over_two_replicas_are_one_run(database_url: str, rate_limit: int) -> None:
    settings = ApiSettings(database_url=database_url, rate_limit=rate_limit, **HS256)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(opened(settings))
        _, _, other = await stack.enter_async_context(serving(settings))
        clients = [await stack.enter_async_context(caller(api, as_user("alice"))) for _ in range(2)]
        clients[1].base_url = httpx.URL(other)
        tries = (clients[number % 2].post("/runs", json=RUN, headers=KEY) for number in range(20))
        responses = await asyncio.gather(*tries)
        assert len({run_of(response) for response in responses}) == 1
        assert sum(not replayed(response) for response in responses) == 1
        assert await runs_there(api) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\xe9"])
async def test_a_key_that_is_none_is_refused(api: Api, alice: httpx.AsyncClient, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    check_problem(await alice.post("/runs", json=RUN, headers=headers), 422, "invalid_request")


@pytest.mark.crash
async def test_after_a_crash_before_the_answer_the_key_finds_the_run(api: Api, database_url: str) -> None:
    """The process is killed as soon as the run is there: the client asks the next one again."""
    async with api_process(database_url) as there, httpx.AsyncClient() as http:
        asking = asyncio.create_task(http.post(f"{there.url}/runs", json=RUN, headers=KEY))
        await eventually(lambda: runs_there(api))
        there.process.kill()
        await there.process.wait()
        await asyncio.gather(asking, return_exceptions=True)
    async with api_process(database_url) as there, httpx.AsyncClient() as http:
        response = await http.post(f"{there.url}/runs", json=RUN, headers=KEY)
        assert replayed(response)
        assert await get_run(api.database, run_of(response)) is not None
    assert await runs_there(api) == 1
