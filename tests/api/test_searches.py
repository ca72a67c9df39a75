"""Searches, counts and lists: what is asked of the database is bounded, in its parts, its time, and by owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest

from relayrun_api.settings import ApiSettings
from tests.api.access import HS256, as_user, caller
from tests.api.conftest import Api, opened
from tests.api.test_refusals import check_problem
from tests.support.waiting import eventually, until_it_is

# Of the ten connections of an API four are for searches, and one owner has half of them.
_EACH = 2

#: Where a filter may be, with the rest of a right body.
FILTERED: tuple[tuple[str, str], ...] = (
    ("/threads/search", "metadata"),
    ("/threads/search", "values"),
    ("/threads/count", "metadata"),
    ("/threads/count", "values"),
    ("/threads/somebody/history", "metadata"),
    ("/assistants/search", "metadata"),
    ("/assistants/count", "metadata"),
    ("/assistants/{assistant}/versions", "metadata"),
    ("/runs/crons/search", "metadata"),
    ("/runs/crons/count", "metadata"),
    ("/store/items/search", "filter"),
)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


#: Filters that cost more the more of the kind is stored.
COSTLY: dict[str, dict[str, Any]] = {
    "a long list": {"a": list(range(101))},
    "lists of lists": {"a": [[[n] for n in range(4)] for _ in range(26)]},
    "deep in lists": {"a": _nested(150)},
    "lists of objects": {"a": [{"b": n} for n in range(101)]},
    "many short lists": {f"k{n}": [n] for n in range(101)},
    "many members": {"a": {f"k{n}": n for n in range(1001)}},
    "a long text": {"a": "x" * 65_536},
    "a long key": {"x" * 65_536: 1},
}
USUAL: tuple[dict[str, Any], ...] = (
    {"a": list(range(100))},
    {"a": {f"k{n}": n for n in range(90)}},
    {"a": "x" * 60_000},
    {"a": {"b": {"c": {"d": [{"e": 1}, [2], "3"]}}}},
)


@pytest.mark.parametrize("kind", COSTLY)
@pytest.mark.parametrize(("path", "member"), FILTERED)
async def test_a_filter_of_too_many_parts_is_refused(shared: Api, path: str, member: str, kind: str) -> None:
    answer = await shared.http.post(path.format(assistant=uuid4()), json={member: COSTLY[kind]})
    check_problem(answer, 422, "invalid_request")
    assert member in answer.text


@pytest.mark.parametrize(("path", "member"), [entry for entry in FILTERED if "search" in entry[0][-6:]])
async def test_a_usual_filter_is_not_refused(shared: Api, path: str, member: str) -> None:
    for wanted in USUAL:
        answer = await shared.http.post(path, json={member: wanted})
        # Nobody runs who would search the store.
        assert answer.status_code == (503 if member == "filter" else 200), answer.text


@asynccontextmanager
async def _locked(api: Api, table: str) -> AsyncIterator[None]:
    """Whoever reads the table waits until the block's end, as for an answer that takes long."""
    async with api.database.connection() as conn, conn.transaction():
        await conn.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


async def _waiting(api: Api) -> int:
    query = """SELECT count(*) AS count FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'relayrun-api' AND wait_event_type = 'Lock'"""
    row = await api.database.fetch_one(query)
    return int(row["count"]) if row else 0


async def test_what_takes_too_long_is_ended_and_refused(settings: ApiSettings) -> None:
    async with opened(settings.model_copy(update={"search_seconds": 0.3})) as api:
        thread = (await api.http.post("/threads", json={})).json()["thread_id"]
        assistant = (await api.http.post("/assistants", json={"graph_id": "talk"})).json()["assistant_id"]
        slow: tuple[tuple[str, str, str], ...] = (
            ("POST", "/threads/search", "threads"),
            ("POST", "/threads/count", "threads"),
            ("GET", f"/threads/{thread}/runs", "runs"),
            ("POST", "/assistants/search", "assistants"),
            ("POST", "/assistants/count", "assistants"),
            ("POST", f"/assistants/{assistant}/versions", "assistant_versions"),
            ("POST", "/runs/crons/search", "crons"),
            ("POST", "/runs/crons/count", "crons"),
        )
        for method, path, table in slow:
            async with _locked(api, table):
                refused = await _asked(api, method, path)
                check_problem(refused, 503, "search_too_slow")
                assert refused.headers["Retry-After"]
            await until_it_is(partial(_is_answered, api, method, path))


async def _asked(api: Api, method: str, path: str) -> httpx.Response:
    return await api.http.request(method, path, json=None if method == "GET" else {})


async def _is_answered(api: Api, method: str, path: str) -> bool:
    return (await _asked(api, method, path)).status_code == 200


async def test_one_owners_slow_searches_leave_room_for_others(database_url: str) -> None:
    settings = ApiSettings(database_url=database_url, search_seconds=30, **HS256)
    async with opened(settings) as api, caller(api, as_user("alice")) as alice, caller(api, as_user("bob")) as bob:
        searches: list[asyncio.Task[httpx.Response]] = []
        async with _locked(api, "threads"):
            searches += [asyncio.create_task(alice.post("/threads/search", json={})) for _ in range(10)]

            async def all_wait() -> bool:
                return await _waiting(api) == _EACH

            await until_it_is(all_wait)
            for path in ("/assistants/search", "/assistants/count", "/runs/crons/search"):
                assert (await bob.post(path, json={})).status_code == 200
            assert (await alice.post("/assistants", json={"graph_id": "talk"})).status_code == 200
            assert (await api.http.get("/readyz")).status_code == 200
            assert await _waiting(api) == _EACH
            assert not any(search.done() for search in searches)
        assert [answer.status_code for answer in await asyncio.gather(*searches)] == [200] * 10


async def test_the_example_that_took_the_database_away_is_quick(shared: Api) -> None:
    """Twelve bodies of 24 kB, each of which was compared with each element of a list as long."""
    stored = [[n] for n in range(2500)]
    await shared.http.post("/threads", json={"metadata": {"list": stored}})
    body = {"metadata": {"list": stored[::-1]}}
    began = time.monotonic()
    answers = await asyncio.gather(*(shared.http.post("/threads/search", json=body) for _ in range(12)))
    assert [answer.status_code for answer in answers] == [422] * 12
    assert time.monotonic() - began < 10


async def test_a_list_that_is_stored_is_found_by_a_few_of_its_elements(shared: Api) -> None:
    mark = uuid4().hex
    made = await shared.http.post("/threads", json={"metadata": {"list": [mark, *range(20_000)]}})
    wanted = {"metadata": {"list": [mark, *range(19_901, 20_000)]}}

    async def found() -> list[str]:
        return [thread["thread_id"] for thread in (await shared.http.post("/threads/search", json=wanted)).json()]

    assert await eventually(found) == [made.json()["thread_id"]]
