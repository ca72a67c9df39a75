"""The rate limit: counted by Postgres for all replicas, shown by headers, and only what was accepted counts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from relayrun_api.http.rate_limit import subject_of
from relayrun_api.settings import ApiSettings
from relayrun_api.system import cleanup as tidying
from relayrun_core.database import Database
from relayrun_core.db.starting import Answer, Limit, Start, Terms, forget_old_starts, start_run
from relayrun_core.ids import new_run_id
from relayrun_core.runs import NewRun, RunSpec
from tests.api.access import HS256, as_user, caller
from tests.api.conftest import Api, opened, serving
from tests.api.play import Attempt
from tests.api.test_refusals import check_problem
from tests.support.waiting import eventually

RUN = {"assistant_id": "steps", "input": {}}
TALK = {"assistant_id": "talk", "message": "hi"}
HOUR = timedelta(hours=1)


def limited(database_url: str, runs: int, **more: Any) -> ApiSettings:
    return ApiSettings(database_url=database_url, rate_limit=runs, **{**HS256, **more})


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with opened(limited(database_url, 3)) as running:
        yield running


def shown(response: httpx.Response) -> tuple[int, int]:
    """What the header says is left, and for how many seconds."""
    found = re.fullmatch(r'"runs";r=(\d+);t=(\d+)', response.headers["ratelimit"])
    assert found, response.headers["ratelimit"]
    return int(found[1]), int(found[2])


async def test_each_way_to_start_a_run_counts_and_says_what_is_left(database_url: str) -> None:
    ways: list[tuple[str, Any]] = [
        ("/runs", RUN),
        ("/runs/stream", RUN),
        ("/runs/wait", RUN),
        ("/threads/{t}/runs", RUN),
        ("/threads/{t}/runs/stream", RUN),
        ("/threads/{t}/runs/wait", RUN),
        ("/chat", TALK),
        ("/invoke", TALK),
        ("/run-task", TALK),
    ]
    async with opened(limited(database_url, len(ways))) as api, caller(api, as_user("alice")) as alice:
        thread = (await alice.post("/threads", json={})).json()["thread_id"]
        for number, (path, body) in enumerate(ways, 1):
            async with alice.stream("POST", path.format(t=thread), json=body) as response:
                assert response.status_code in (200, 202), path
                assert response.headers["ratelimit-policy"] == f'"runs";q={len(ways)};w=3600'
                left, seconds = shown(response)
                assert left == len(ways) - number, path
                assert 3590 <= seconds <= 3600
        for path, body in ways:
            response = await alice.post(path.format(t=thread), json=body)
            check_problem(response, 429, "rate_limited")
            assert shown(response)[0] == 0
            assert int(response.headers["retry-after"]) == shown(response)[1]


async def test_a_refusal_says_when_to_come_back_and_other_users_are_not_held_up(api: Api) -> None:
    async with caller(api, as_user("alice")) as alice:
        for _ in range(3):
            assert (await alice.post("/runs", json=RUN)).status_code == 200
        await api.database.execute("UPDATE run_starts SET started_at = started_at - interval '3000 seconds'")
        refused = await alice.post("/runs", json=RUN, headers={"Origin": "http://localhost:3000"})
        check_problem(refused, 429, "rate_limited")
        assert 590 <= int(refused.headers["retry-after"]) <= 600
        exposed = refused.headers["access-control-expose-headers"]
        assert {"Retry-After", "RateLimit", "RateLimit-Policy", "Idempotency-Replayed"} <= set(exposed.split(", "))
        assert (await api.http.post("/runs", json=RUN, headers=as_user("bob"))).status_code == 200
        # The window moves: what is older than it does not count.
        await api.database.execute("UPDATE run_starts SET started_at = started_at - interval '600 seconds'")
        assert shown(await alice.post("/runs", json=RUN))[0] == 2


async def test_the_window_moves_with_each_start(api: Api) -> None:
    async with caller(api, as_user("alice")) as alice:
        for age in (3500, 2000, 1000):
            assert (await alice.post("/runs", json=RUN)).status_code == 200
            move = "UPDATE run_starts SET started_at = now() - make_interval(secs => %s) WHERE number = %s"
            number = {3500: 1, 2000: 2, 1000: 3}[age]
            await api.database.execute(move, (age, number))
        assert 95 <= int((await alice.post("/runs", json=RUN)).headers["retry-after"]) <= 100
        await api.database.execute("UPDATE run_starts SET started_at = started_at - interval '101 seconds'")
        left, seconds = shown(await alice.post("/runs", json=RUN))
        assert left == 0
        assert 1490 <= seconds <= 1500


async def test_what_is_refused_or_starts_nothing_is_not_counted(api: Api) -> None:
    async with caller(api, as_user("alice")) as alice:
        run = (await alice.post("/runs", json=RUN)).json()
        path = f"/threads/{run['thread_id']}"
        for refused, body in (
            ("/runs", {**RUN, "assistant_id": "nope"}),
            ("/runs", {}),
            (f"/threads/{uuid4()}/runs", RUN),
            (f"{path}/runs", {**RUN, "multitask_strategy": "reject"}),
            (f"{path}/runs", {**RUN, "command": {"resume": 1}}),
            ("/run-task", {"assistant_id": "talk", "resume": 1, "thread_id": "nobody"}),
            ("/run-task", {"assistant_id": "steps", "message": "hi"}),
        ):
            response = await alice.post(refused, json=body)
            assert response.status_code in (404, 409, 422), response.text
        for read in (path, f"{path}/runs", f"{path}/runs/{run['run_id']}", f"{path}/state", "/history/x"):
            response = await alice.get(read)
            assert response.status_code == 200
            assert "ratelimit" not in response.headers
        assert (await alice.post(f"{path}/runs/{run['run_id']}/cancel")).status_code == 202
        assert shown(await alice.post("/runs", json=RUN))[0] == 1


async def test_fifty_at_once_over_two_replicas_are_not_one_too_many(database_url: str) -> None:
    limit = 20
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(opened(limited(database_url, limit)))
        _, _, other = await stack.enter_async_context(serving(limited(database_url, limit)))
        clients = [await stack.enter_async_context(caller(first, as_user("alice"))) for _ in range(2)]
        clients[1].base_url = httpx.URL(other)
        starts = (clients[number % 2].post("/runs", json=RUN) for number in range(50))
        responses = await asyncio.gather(*starts)
    accepted = [response for response in responses if response.status_code == 200]
    assert len(accepted) == limit
    assert sorted(shown(response)[0] for response in accepted) == list(range(limit)), "each saw another number"
    assert {response.status_code for response in responses} == {200, 429}


async def test_zero_turns_it_off_and_local_mode_has_it_off(database_url: str) -> None:
    assert ApiSettings(auth="none").runs_per_window == 0
    assert ApiSettings(auth="none", world="kubernetes").runs_per_window == 100
    async with opened(limited(database_url, 0)) as api, caller(api, as_user("alice")) as alice:
        response = await alice.post("/runs", json=RUN)
        assert "ratelimit" not in response.headers
        assert not await api.database.fetch_all("SELECT 1 FROM run_starts")


async def test_without_authentication_addresses_are_counted_as_trusted_proxies_name_them(database_url: str) -> None:
    settings = ApiSettings(database_url=database_url, auth="none", rate_limit=2, trusted_proxies="127.0.0.1,10.0.0.0/8")
    async with opened(settings) as api:

        async def left(*forwarded: str) -> int:
            headers = {"X-Forwarded-For": ", ".join(forwarded)} if forwarded else {}
            return shown(await api.http.post("/runs", json=RUN, headers=headers))[0]

        assert await left("198.51.100.1") == 1
        assert await left("203.0.113.9", "198.51.100.1", "10.1.2.3") == 0, "what a client writes itself is not believed"
        assert await left("198.51.100.2") == 1
        assert await left("2001:db8::1") == 1
        assert await left("2001:db8::2") == 0, "one network is one client"
        assert await left() == 1
    suspicious = settings.model_copy(update={"trusted_proxies": []})
    async with opened(suspicious) as api:
        response = await api.http.post("/runs", json=RUN, headers={"X-Forwarded-For": "192.0.2.77"})
        assert shown(response)[0] == 0, "the address of the connection, which had one above"


def test_subjects_and_addresses_are_told_apart() -> None:
    assert subject_of("10.0.0.1", "192.0.2.1") == "owner:10.0.0.1"
    assert subject_of(None, "10.0.0.1") == subject_of(None, "::ffff:10.0.0.1") == "address:10.0.0.1"
    assert subject_of(None, "fe80::1%eth0") == "address:fe80::/64"
    assert subject_of(None, None) == "address:unknown"


def a_run(**more: Any) -> NewRun:
    return NewRun(new_run_id(), uuid4(), "default", "steps", RunSpec(), **more)


async def start(database: Database, runs: int, new: NewRun | None = None) -> Start:
    return await start_run(database, new or a_run(), Terms(Limit("owner:alice", runs, HOUR)))


async def test_a_start_told_twice_counts_once(api: Api) -> None:
    new = a_run()
    for _ in range(2):  # as after a connection that broke before its answer
        told = await start(api.database, 5, new)
        assert (told.answer, told.allowance and told.allowance.remaining) == (Answer.CREATED, 4)


async def test_a_limit_that_was_lowered_says_when_enough_starts_have_left(api: Api) -> None:
    for _ in range(5):
        await start(api.database, 5)
    spread = "UPDATE run_starts SET started_at = now() - make_interval(secs => 3600 - number * 100)"
    await api.database.execute(spread)
    told = await start(api.database, 2)
    assert told.answer is Answer.RATE_LIMITED
    assert told.allowance is not None
    assert (told.allowance.remaining, round(told.allowance.seconds, -1)) == (0, 400)


async def test_old_starts_and_keys_are_removed_and_counting_goes_on(api: Api) -> None:
    await start(api.database, 5)
    await start(api.database, 5)
    await api.database.execute("UPDATE run_starts SET started_at = started_at - interval '2 hours' WHERE number = 1")
    await forget_old_starts(api.database, HOUR)
    assert [row["number"] for row in await api.database.fetch_all("SELECT number FROM run_starts")] == [2]
    told = await start(api.database, 5)
    assert told.allowance is not None
    assert told.allowance.remaining == 3
    await api.database.execute("UPDATE run_starts SET started_at = started_at - interval '2 hours'")
    await forget_old_starts(api.database, HOUR)
    told = await start(api.database, 5)
    assert told.allowance is not None
    assert told.allowance.remaining == 4


async def test_a_running_api_removes_them_now_and_then(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "_PERIOD_SECONDS", 0.01)
    async with opened(limited(database_url, 5)) as api:
        old = "INSERT INTO run_starts VALUES ('owner:bob', now() - interval '2 hours', 1), ('owner:bob', now(), 2)"
        await api.database.execute(old)

        async def removed() -> bool:
            return len(await api.database.fetch_all("SELECT 1 FROM run_starts")) == 1

        await eventually(removed)


async def test_a_finished_and_forgotten_run_still_counts(api: Api) -> None:
    async with caller(api, as_user("alice")) as alice:
        run = (await alice.post("/runs", json=RUN)).json()
        await (await Attempt.begin(api.database, run["run_id"])).succeed()
        assert (await alice.delete(f"/threads/{run['thread_id']}")).status_code == 204
        assert shown(await alice.post("/runs", json=RUN))[0] == 1
