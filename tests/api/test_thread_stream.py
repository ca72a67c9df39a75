"""The stream of a thread: one run after the other, edits between them, and readers that come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import NotFoundError

from relayrun_api.http import streamed as answering
from relayrun_api.settings import ApiSettings
from relayrun_api.streaming.sse import HEARTBEAT
from relayrun_api.threads import stream as thread_stream
from relayrun_core.db.notify import notify_thread
from relayrun_core.db.starting import line_up
from relayrun_core.db.thread_stream import note_edit
from relayrun_core.db.threads import idle_thread
from tests.api.conftest import Api, open_streams, opened
from tests.api.play import Attempt
from tests.api.process import api_process
from tests.api.reading import beside, until_told
from tests.support.runner import free_port
from tests.support.waiting import eventually, until

Told = tuple[str, Any]


@asynccontextmanager
async def reading(api: Api, thread_id: str, **options: Any) -> AsyncIterator[list[Any]]:
    """What a follower of the thread is told, while it grows. The follower is there when the block begins."""
    told: list[Any] = []

    async def read() -> None:
        async for part in await api.sdk.threads.join_stream(thread_id, **options):
            told.append(part)  # noqa: PERF401 - others look at it while it grows

    async with beside(api, read()):
        yield told


def plain(told: list[Any]) -> list[Told]:
    """Events and what is in them, without ids."""
    return [(part.event, {k: v for k, v in part.data.items() if k not in ("run_id", "thread_id")}) for part in told]


async def ran(api: Api, thread_id: str, number: int) -> str:
    """A run of the thread, from its start to its end."""
    run = await api.sdk.runs.create(thread_id, "steps", input={})
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.tell("values", {"steps": [number]})
    await attempt.succeed({"steps": [number]})
    return run["run_id"]


async def edited(api: Api, thread_id: str, number: int) -> None:
    """An edit, as a runner makes it known."""
    async with idle_thread(api.database, UUID(thread_id)) as (conn, _):
        await note_edit(conn, UUID(thread_id), orjson.dumps({"state": number}))
    await notify_thread(api.database, UUID(thread_id))


def told_of(number: int) -> list[Told]:
    return [
        ("metadata", {"attempt": 1}),
        ("values", {"steps": [number]}),
        ("metadata", {"status": "run_done"}),
    ]


async def test_a_follower_is_told_of_the_runs_to_come_one_after_the_other(api: Api) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]
    await ran(api, thread_id, 1)
    async with reading(api, thread_id) as told:
        runs = [await ran(api, thread_id, number) for number in (2, 3)]
        await until_told(told, 6)
        assert plain(told) == told_of(2) + told_of(3)
        assert [part.data.get("run_id") for part in told] == [runs[0], None, runs[0], runs[1], None, runs[1]]
        assert [part.id.split("-")[0] for part in told] == ["2"] * 3 + ["3"] * 3


async def test_who_comes_in_the_middle_of_a_run_is_told_its_rest(api: Api) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]
    run = await api.sdk.runs.create(thread_id, "steps", input={})
    queued = await api.sdk.runs.create(thread_id, "steps", input={})
    attempt = await Attempt.begin(api.database, run["run_id"])
    async with reading(api, thread_id) as told:
        await attempt.tell("values", {"steps": [1]})
        # The one that waits ends first, and is told of when its turn comes.
        await api.http.post(f"/threads/{thread_id}/runs/{queued['run_id']}/cancel")
        await attempt.fail("ValueError", "boom")
        await ran(api, thread_id, 3)
        await until_told(told, 7)
    assert plain(told) == [
        ("values", {"steps": [1]}),
        ("error", {"error": "ValueError", "message": "boom"}),
        ("metadata", {"status": "run_done"}),
        ("metadata", {"status": "run_done"}),
        *told_of(3),
    ]
    assert told[3].data["run_id"] == queued["run_id"]


async def test_a_run_for_later_holds_up_nobody_before_its_time(api: Api) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]
    later = await api.sdk.runs.create(thread_id, "steps", input={}, after_seconds=3600)
    await ran(api, thread_id, 1)
    async with reading(api, thread_id, last_event_id="-") as told:
        await until_told(told, 3)
        await api.database.execute("UPDATE runs SET created_at = now() WHERE run_id = %s", (later["run_id"],))
        await line_up(api.database, UUID(later["run_id"]))
        await (await Attempt.begin(api.database, later["run_id"])).succeed()
        await until_told(told, 5)
    assert plain(told) == [*told_of(1), told_of(2)[0], told_of(2)[2]]


async def test_a_reader_that_comes_back_misses_and_repeats_nothing(api: Api, settings: ApiSettings) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]
    await edited(api, thread_id, 0)
    for number in (1, 2):
        await ran(api, thread_id, number)
        await edited(api, thread_id, number)
    modes = ["run_modes", "state_update"]
    expected = [
        ("state_update", {"state": 0}),
        *told_of(1),
        ("state_update", {"state": 1}),
        *told_of(2),
        ("state_update", {"state": 2}),
    ]
    for start in ("-", "0", "0-0"):
        async with reading(api, thread_id, last_event_id=start, stream_mode=modes) as everything:
            await until_told(everything, len(expected))
            assert plain(everything) == expected
    assert len({part.id for part in everything}) == len(expected)
    async with opened(settings) as other:  # another replica
        for behind, part in enumerate(everything[:-1], start=1):
            async with reading(other, thread_id, last_event_id=part.id, stream_mode=modes) as told:
                await until_told(told, len(expected) - behind)
                assert told == everything[behind:]


@pytest.mark.parametrize("name", ["stream_mode", "stream_modes"])
async def test_modes_say_what_is_told(api: Api, name: str) -> None:
    def told_in(modes: str, number: int) -> list[Told]:
        start, values, end = told_of(number)
        run = [start, values, end] if "run_modes" in modes or not modes else []
        if modes.startswith("lifecycle"):
            run = [start, end]
        return run + ([("state_update", {"state": number})] if "state_update" in modes else [])

    for modes in ("lifecycle", "state_update", "lifecycle,state_update", "state_update, run_modes", ""):
        thread_id = (await api.sdk.threads.create())["thread_id"]
        await ran(api, thread_id, 1)
        await edited(api, thread_id, 1)
        options: dict[str, Any] = {"stream_mode": "", "params": {name: modes}}
        async with reading(api, thread_id, last_event_id="-", **options) as told:
            await ran(api, thread_id, 2)
            await edited(api, thread_id, 2)
            expected = told_in(modes, 1) + told_in(modes, 2)
            await until_told(told, len(expected))
            assert plain(told) == expected, modes


async def test_silence_is_filled_with_comments(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "HEARTBEAT_SECONDS", 0.05)
    thread_id = (await api.sdk.threads.create())["thread_id"]
    async with api.http.stream("GET", f"/threads/{thread_id}/stream") as response:
        chunks = response.aiter_raw()
        assert [await anext(chunks) for _ in range(5)] == [HEARTBEAT] * 5
        run = await api.sdk.runs.create(thread_id, "steps", input={})
        assert [await anext(chunks) for _ in range(3)] == [HEARTBEAT] * 3
        attempt = await Attempt.begin(api.database, run["run_id"])
        async with asyncio.timeout(60):
            while await anext(chunks) == HEARTBEAT:
                pass
            await attempt.succeed()
            while await anext(chunks) == HEARTBEAT:
                pass
            assert await anext(chunks) == HEARTBEAT


async def test_a_run_whose_hint_was_lost_is_found_all_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_stream, "HEARTBEAT_SECONDS", 0.05)
    thread_id = (await api.sdk.threads.create())["thread_id"]
    async with reading(api, thread_id) as told:
        # Nobody is notified.
        await api.database.execute(
            """SELECT relayrun_create_run(gen_random_uuid(), %s, NULL, NULL, '{}', 'default', 'steps', NULL,
                jsonb_build_object('multitask_strategy', 'enqueue'), false, false, NULL, NULL)""",
            (thread_id,),
        )
        await api.database.execute("SELECT relayrun_cancel(run_id, 'interrupt') FROM runs")
        await until_told(told, 1)
        assert plain(told) == [("metadata", {"status": "run_done"})]


async def test_the_stream_ends_with_its_thread(api: Api) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]
    await ran(api, thread_id, 1)
    told: list[Any] = []

    async def read() -> None:
        async for part in await api.sdk.threads.join_stream(thread_id, last_event_id="-"):
            told.append(part)  # noqa: PERF401 - the test looks at it while it grows

    follower = asyncio.create_task(read())
    await until_told(told, 3)
    await api.sdk.threads.delete(thread_id)
    async with asyncio.timeout(4):  # less than the silence after which a stream looks by itself
        await follower
    assert plain(told) == told_of(1)
    with pytest.raises(NotFoundError):
        await anext(await api.sdk.threads.join_stream(thread_id))


async def test_a_follower_outlives_the_loss_of_every_database_connection(api: Api) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]
    async with reading(api, thread_id) as told:
        await ran(api, thread_id, 1)
        await until_told(told, 3)
        kill = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name LIKE 'relayrun-api%%' OR application_name LIKE 'relayrun-listen%%'"""
        assert len(await api.database.fetch_all(kill)) >= 2

        async def accepted() -> bool:
            answer = await api.http.post(f"/threads/{thread_id}/runs", json={"assistant_id": "steps"})
            assert answer.status_code in (200, 503)
            return answer.is_success

        await eventually(accepted)
        await api.http.post(f"/threads/{thread_id}/runs/{(await api.sdk.runs.list(thread_id))[0]['run_id']}/cancel")
        await until_told(told, 4)
        assert plain(told) == [*told_of(1), ("metadata", {"status": "run_done"})]


async def test_shutting_down_cuts_the_stream_so_that_its_reader_comes_back(api: Api) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]

    async def read() -> bytes:
        async with api.http.stream("GET", f"/threads/{thread_id}/stream") as response:
            return b"".join([chunk async for chunk in response.aiter_raw()])

    task = asyncio.create_task(read())
    await until(lambda: open_streams(api) == 1)
    api.server.should_exit = True
    async with asyncio.timeout(60):
        with pytest.raises(httpx.RemoteProtocolError):
            await task


async def test_a_reader_that_stops_reading_holds_nobody_back_and_costs_little(api: Api) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]
    async with api.http.stream("GET", f"/threads/{thread_id}/stream") as slow:
        await until(lambda: open_streams(api) == 1)
        async with reading(api, thread_id) as quick:
            for _ in range(2):
                run = await api.sdk.runs.create(thread_id, "steps", input={})
                attempt = await Attempt.begin(api.database, run["run_id"])
                for number in range(20):
                    await attempt.tell("custom", {"number": number, "filler": "x" * 500_000})
                await attempt.succeed()
            await until_told(quick, 44)
            assert open_streams(api) == 2  # the slow one still waits, with a page of it in memory
        numbers = []
        async for line in slow.aiter_lines():
            if line.startswith("data: ") and (number := orjson.loads(line[6:]).get("number")) is not None:
                numbers.append(number)
                if len(numbers) == 40:
                    break
    assert numbers == [*range(20)] * 2


async def test_followers_are_dropped_without_a_trace(api: Api) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]
    run = await api.sdk.runs.create(thread_id, "steps", input={})

    async def come_and_go() -> None:
        async with api.http.stream("GET", f"/threads/{thread_id}/stream") as response:
            assert response.status_code == 200

    await asyncio.gather(*(come_and_go() for _ in range(20)))
    await until(lambda: open_streams(api) == 0)
    async with reading(api, thread_id) as told:
        await (await Attempt.begin(api.database, run["run_id"])).succeed()
        await until_told(told, 2)


@pytest.mark.parametrize("given", ["2", "2-1", "99999999999999999999-1", "1-99999999999999999999"])
async def test_behind_an_event_that_the_thread_has_not_had_comes_what_comes_from_then_on(api: Api, given: str) -> None:
    thread_id = (await api.sdk.threads.create())["thread_id"]
    await ran(api, thread_id, 1)
    async with reading(api, thread_id, last_event_id=given) as told:
        await ran(api, thread_id, 2)
        await until_told(told, len(told_of(2)))
        assert plain(told) == told_of(2)


@pytest.mark.parametrize("given", ["x", "1-x", "-5-3", "-1"])
async def test_what_is_no_events_id_is_refused(shared: Api, given: str) -> None:
    thread_id = (await shared.sdk.threads.create())["thread_id"]
    path = f"/threads/{thread_id}/stream"
    for answer in (
        await shared.http.get(path, headers={"Last-Event-ID": given}),
        await shared.http.get(path, params={"last_event_id": given}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["detail"].startswith("Invalid last-event-id: ")


async def test_a_mode_that_there_is_not_is_refused(shared: Api) -> None:
    thread_id = (await shared.sdk.threads.create())["thread_id"]
    for params in ({"stream_mode": "values"}, {"stream_modes": "lifecycle,x"}):
        answer = await shared.http.get(f"/threads/{thread_id}/stream", params=params)
        assert (answer.status_code, "run_modes, lifecycle, state_update" in answer.json()["detail"]) == (422, True)
    assert (await shared.http.get("/threads/nobody/stream")).status_code == 422


@pytest.mark.crash
# The SDK says that a reader may miss something that has no event's id to come back with; it has its place in Location.
@pytest.mark.filterwarnings("ignore:Reconnecting without a Last-Event-ID")
async def test_a_killed_api_costs_a_follower_nothing(api: Api, database_url: str) -> None:
    """The SDK comes back to the process after it, also when it had not been told anything yet."""
    port = free_port()
    sdk = get_client(url=f"http://127.0.0.1:{port}", api_key=None)
    threads = [(await api.sdk.threads.create())["thread_id"] for _ in range(2)]
    await ran(api, threads[0], 0)
    told: list[list[Any]] = [[], []]

    async def read(place: int) -> None:
        async for part in await sdk.threads.join_stream(threads[place]):
            told[place].append(part)

    async with api_process(database_url, port) as there:
        followers = [asyncio.create_task(read(place)) for place in range(2)]

        async def both_follow() -> bool:
            async with httpx.AsyncClient(base_url=there.url) as http:
                return "relayrun_sse_connections 2.0" in (await http.get("/metrics")).text

        await eventually(both_follow)
        await ran(api, threads[0], 1)
        await until_told(told[0], 3)
        there.process.kill()
        await there.process.wait()
        await ran(api, threads[0], 2)
        await ran(api, threads[1], 3)
    async with api_process(database_url, port):
        await ran(api, threads[0], 4)
        async with asyncio.timeout(60):
            await until(lambda: len(told[0]) >= 9 and len(told[1]) >= 3)
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
    await sdk.aclose()
    assert plain(told[0]) == told_of(1) + told_of(2) + told_of(4)
    assert plain(told[1]) == told_of(3)
