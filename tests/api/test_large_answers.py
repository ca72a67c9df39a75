"""What is kept with a thing is bounded, and a page of large things is answered in parts: all of it, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import psutil
import pytest

from relayrun_api.http import listing
from relayrun_api.http.responses import dumps
from relayrun_api.services import Services
from relayrun_core.db.rows import MAX_OBJECT_BYTES
from tests.api.conftest import Api
from tests.api.process import api_process
from tests.api.test_refusals import check_problem

RUN = {"assistant_id": "talk", "input": {}}
CRON = {**RUN, "schedule": "@yearly"}
LARGE = {"x": "y" * MAX_OBJECT_BYTES}
HALF = "y" * (MAX_OBJECT_BYTES * 6 // 10)

#: Every place of a body for an object that is kept and told again.
KEPT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/threads", {"metadata": LARGE}),
    *((path, {**RUN, member: LARGE}) for path in ("/runs", "/threads/t/runs") for member in ("metadata", "context")),
    ("/runs", {**RUN, "config": {"configurable": LARGE}}),
    ("/runs", {**RUN, "config": {"metadata": LARGE}}),
    ("/runs", {**RUN, "config": {"of_my_own": LARGE}}),
    ("/runs/stream", {**RUN, "metadata": LARGE}),
    ("/runs/wait", {**RUN, "metadata": LARGE}),
    ("/runs/crons", {**CRON, "metadata": LARGE}),
    ("/assistants", {"graph_id": "talk", "metadata": LARGE}),
    ("/assistants", {"graph_id": "talk", "config": {"of_my_own": LARGE}}),
)


@pytest.mark.parametrize("number", range(len(KEPT)))
async def test_what_is_kept_with_a_thing_is_bounded(shared: Api, number: int) -> None:
    path, body = KEPT[number]
    check_problem(await shared.http.post(path, json=body), 422, "invalid_request")


async def test_a_batch_and_a_command_are_bounded_like_a_run(shared: Api) -> None:
    refused = await shared.http.post("/runs/batch", json=[{**RUN, "metadata": LARGE}])
    check_problem(refused, 422, "invalid_request")
    command = {"id": 1, "method": "run.start", "params": {**RUN, "metadata": LARGE}}
    answer = await shared.http.post(f"/threads/{uuid4()}/commands", json=command)
    assert (answer.json()["type"], answer.json()["error"]) == ("error", "invalid_argument"), answer.text


@pytest.mark.parametrize("kind", ["threads", "assistants"])
async def test_what_is_merged_is_bounded_too(shared: Api, kind: str) -> None:
    made = (await shared.http.post(f"/{kind}", json={"graph_id": "talk", "metadata": {"a": HALF}})).json()
    path = f"/{kind}/{made[kind.removesuffix('s') + '_id']}"
    check_problem(await shared.http.patch(path, json={"metadata": {"b": HALF}}), 422, "invalid_request")
    assert (await shared.http.get(path)).json()["metadata"] == made["metadata"]
    patched = (await shared.http.patch(path, json={"metadata": {"a": "small", "b": HALF}})).json()
    assert patched["metadata"] == {**made["metadata"], "a": "small", "b": HALF}


async def test_patches_that_come_together_are_bounded_together(shared: Api) -> None:
    thread = (await shared.http.post("/threads", json={})).json()["thread_id"]
    part = "y" * (MAX_OBJECT_BYTES * 3 // 10)
    patches = (shared.http.patch(f"/threads/{thread}", json={"metadata": {f"k{n}": part}}) for n in range(8))
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*patches))
    assert statuses == [200] * 3 + [422] * 5
    assert len((await shared.http.get(f"/threads/{thread}")).json()["metadata"]) == 3


async def test_metadata_that_is_too_large_already_may_change_and_shrink(shared: Api) -> None:
    thread = (await shared.http.post("/threads", json={})).json()["thread_id"]
    old = orjson.dumps({"a": HALF, "b": HALF, "c": 1}).decode()
    await shared.database.execute("UPDATE threads SET metadata = %s WHERE thread_id = %s", (old, thread))
    check_problem(await shared.http.patch(f"/threads/{thread}", json={"metadata": {"d": 1}}), 422, "invalid_request")
    for change in ({"c": 2}, {"b": None}):
        assert (await shared.http.patch(f"/threads/{thread}", json={"metadata": change})).status_code == 200


async def test_a_patch_of_nothing_that_exists_is_not_found(shared: Api) -> None:
    answer = await shared.http.patch(f"/threads/{uuid4()}", json={"metadata": {"b": HALF}})
    check_problem(answer, 404, "thread_not_found")


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of about three things."""
    monkeypatch.setattr(listing, "PART_BYTES", 30_000)


async def _threads(api: Api, count: int, kilobytes: int = 10) -> list[str]:
    insert = """
        INSERT INTO threads (thread_id, values, metadata, created_at)
        SELECT gen_random_uuid(), jsonb_build_object('text', repeat('x', %s), 'big', 1e30, 'n', n), '{"of": "parts"}',
            now() + make_interval(secs => n) FROM generate_series(1, %s) AS n RETURNING thread_id, created_at"""
    rows = await api.database.fetch_all(insert, (kilobytes * 1000, count))
    return [str(row["thread_id"]) for row in sorted(rows, key=lambda row: row["created_at"])]


@pytest.mark.usefixtures("in_parts")
async def test_a_large_page_of_threads_comes_whole_and_in_order(api: Api) -> None:
    made = await _threads(api, 25)
    body = {"sort_by": "created_at", "sort_order": "asc", "limit": 20, "offset": 3, "metadata": {"of": "parts"}}
    answer = await api.http.post("/threads/search", json=body)
    assert "content-length" not in answer.headers
    assert (answer.headers["X-Pagination-Next"], answer.headers["X-Pagination-Total"]) == ("23", "24")
    found = answer.json()
    assert [thread["thread_id"] for thread in found] == made[3:23]
    assert found == [(await api.http.get(f"/threads/{thread}")).json() for thread in made[3:23]]
    last = await api.http.post("/threads/search", json={**body, "offset": 23})
    assert [thread["thread_id"] for thread in last.json()] == made[23:]
    assert "X-Pagination-Next" not in last.headers
    some = await api.http.post("/threads/search", json={**body, "select": ["thread_id"], "extract": {"n": "values.n"}})
    assert some.json() == [{"thread_id": id_, "extracted": {"n": n}} for n, id_ in enumerate(made[3:23], start=4)]
    assert some.headers["content-length"]


@pytest.mark.usefixtures("in_parts")
async def test_large_pages_of_all_other_lists_come_whole_and_in_order(api: Api) -> None:
    metadata = {"text": "x" * 10_000}
    thread = (await api.http.post("/threads", json={})).json()["thread_id"]
    made = (await api.http.post("/assistants", json={"graph_id": "talk", "metadata": metadata})).json()
    path = f"/assistants/{made['assistant_id']}"
    lists: dict[tuple[str, str, str], list[Any]] = {
        ("GET", f"/threads/{thread}/runs?limit=9", "run_id"): [],
        ("POST", "/runs/crons/search", "cron_id"): [],
        ("POST", "/assistants/search", "assistant_id"): [],
        ("POST", f"{path}/versions", "version"): [],
    }
    runs, crons, assistants, versions = lists.values()
    for n in range(9):
        run = {**RUN, "metadata": metadata}
        runs.insert(0, (await api.http.post(f"/threads/{thread}/runs", json=run)).json()["run_id"])
        crons.insert(0, (await api.http.post("/runs/crons", json={**CRON, "metadata": metadata})).json()["cron_id"])
        new = {"graph_id": "talk", "metadata": metadata, "name": str(n)}
        assistants.insert(0, (await api.http.post("/assistants", json=new)).json()["assistant_id"])
        versions.insert(0, (await api.http.patch(path, json={"name": str(n)})).json()["version"])
    for (method, where, key), expected in lists.items():
        body = {"limit": 9} if method == "POST" else None
        answer = await api.http.request(method, where, json=body)
        assert "content-length" not in answer.headers, where
        assert [thing[key] for thing in answer.json()] == expected, where


@pytest.mark.usefixtures("in_parts")
async def test_things_that_go_while_a_page_is_sent_are_left_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await _threads(api, 12)
    forgotten, read = [made[5], *made[9:]], listing.read_part

    async def after_some_were_deleted(*args: Any) -> Any:
        if len(args) == 5:  # behind the first part
            await api.database.execute("DELETE FROM threads WHERE thread_id = ANY(%s)", ([*map(UUID, forgotten)],))
        return await read(*args)

    monkeypatch.setattr(listing, "read_part", after_some_were_deleted)
    body = {"sort_by": "created_at", "sort_order": "asc", "limit": 12}
    found = (await api.http.post("/threads/search", json=body)).json()
    assert [thread["thread_id"] for thread in found] == [thread for thread in made if thread not in forgotten]


@pytest.mark.usefixtures("in_parts")
async def test_an_answer_that_cannot_go_on_is_cut_and_not_taken_for_whole(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _threads(api, 12)
    read = listing.read_part

    async def refused_later(*args: Any) -> Any:
        if len(args) == 5:
            await api.database.execute("ALTER TABLE threads RENAME TO gone")
        return await read(*args)

    monkeypatch.setattr(listing, "read_part", refused_later)
    with pytest.raises(httpx.TransportError):
        await api.http.post("/threads/search", json={"limit": 12})


def test_json_that_was_not_read_may_stand_beside_numbers_of_any_size() -> None:
    unread = orjson.Fragment('{"n": 123456789012345678901234567890}')
    assert json.loads(dumps([unread, 10**40])) == [{"n": 123456789012345678901234567890}, 10**40]


@asynccontextmanager
async def _slow_client(api: Api, body: Any) -> AsyncIterator[httpx.Response]:
    """A client that has the head of its answer and reads nothing more."""
    async with (
        httpx.AsyncClient(base_url=api.url, timeout=60) as http,
        http.stream("POST", "/threads/search", json=body) as answer,
    ):
        yield answer


async def test_clients_that_do_not_read_hold_no_connection(api: Api) -> None:
    await _threads(api, 12, kilobytes=2000)
    services: Services = api.app.state.services
    async with AsyncExitStack() as stack:
        for _ in range(6):
            answer = await stack.enter_async_context(_slow_client(api, {"limit": 12}))
            assert answer.status_code == 200
        for _ in range(6):
            assert (await api.http.post("/threads/search", json={"limit": 1})).status_code == 200
        async with services.reads.by("address:127.0.0.1", wait_seconds=60):
            pass


async def _most_memory(process: psutil.Process, asking: asyncio.Task[httpx.Response]) -> int:
    most = 0
    while not asking.done():
        most = max(most, process.memory_info().rss)
        await asyncio.sleep(0.005)
    return most


async def test_a_large_page_costs_an_api_little_memory(database_url: str, api: Api) -> None:
    await api.database.execute(
        """INSERT INTO threads (thread_id, values) SELECT gen_random_uuid(), s.values FROM generate_series(1, 15),
        (SELECT jsonb_object_agg('key ' || n, repeat('x', 20)) AS values FROM generate_series(1, 50000) AS n) AS s"""
    )
    async with api_process(database_url) as started, httpx.AsyncClient(base_url=started.url, timeout=60) as http:
        await http.post("/threads/search", json={"limit": 1})
        process = psutil.Process(started.process.pid)
        before = process.memory_info().rss
        asking = asyncio.create_task(http.post("/threads/search", json={"limit": 15}))
        most = await _most_memory(process, asking)
        assert len((await asking).content) > 24_000_000
        assert most - before < 60_000_000, f"from {before} to {most}"
