"""Streams under bad conditions: lost hints, silence, slow readers, a process that goes down or is killed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import closing
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from langgraph_sdk import get_client
from starlette.types import Message

from relayrun_api.http import streamed as answering
from relayrun_api.http.streamed import Streamed
from relayrun_api.services import Services
from relayrun_api.streaming import follow as following
from relayrun_api.streaming.follow import NO_RUN
from relayrun_api.streaming.sse import HEARTBEAT
from relayrun_core.db.journal import first_seq, read_page
from tests.api.conftest import Api, open_streams
from tests.api.play import Attempt
from tests.api.process import api_process
from tests.support.runner import free_port
from tests.support.waiting import eventually, until


async def test_events_whose_notification_was_lost_come_all_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 600)  # no stream looks by itself
    run = await api.sdk.runs.create(None, "steps", input={})
    await Attempt.begin(api.database, run["run_id"])
    stream = api.sdk.runs.join_stream(run["thread_id"], run["run_id"], last_event_id="-")
    assert (await anext(stream)).event == "metadata"
    insert = "INSERT INTO run_events (run_id, seq, event, data) VALUES (%s, %s, 'values', '{}')"
    await api.database.execute(insert, (run["run_id"], first_seq(1) + 1))
    async with asyncio.timeout(60):
        assert (await anext(stream)).event == "values"


async def test_who_asks_for_times_gets_them_as_comments(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.tell("values", {"steps": [1]})
    await attempt.succeed({"steps": [1]})
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream"
    plain = await api.http.get(path, params={"last_event_id": "-"})
    timed = await api.http.get(path, params={"last_event_id": "-", "times": "true"})
    text, timed_text = (answer.text.replace(HEARTBEAT.decode(), "") for answer in (plain, timed))
    lines = timed_text.splitlines(keepends=True)
    assert "".join(line for line in lines if not line.startswith(":")) == text
    times = [datetime.fromisoformat(line.removeprefix(":").strip()) for line in lines if line.startswith(":")]
    ended = await api.sdk.runs.get(run["thread_id"], run["run_id"])
    assert len(times) == text.count("event: ") == 2
    assert datetime.fromisoformat(run["created_at"]) <= times[0] <= times[-1]
    assert times[-1] <= datetime.fromisoformat(ended["updated_at"])
    # Who was cut off gets them again.
    assert "times=true" in timed.headers["location"]
    assert "times" not in plain.headers["location"]


async def test_signs_of_life_come_in_silence(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "HEARTBEAT_SECONDS", 0.05)
    run = await api.sdk.runs.create(None, "steps", input={})
    async with api.http.stream("GET", f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream") as response:
        chunks = response.aiter_raw()
        assert [await anext(chunks) for _ in range(3)] == [HEARTBEAT] * 3
    async with api.http.stream("GET", f"/threads/{run['thread_id']}/runs/{run['run_id']}/join") as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"\n"
        await (await Attempt.begin(api.database, run["run_id"])).succeed({"steps": [1]})
        rest = b"".join([chunk async for chunk in chunks])
    assert orjson.loads(rest) == {"steps": [1]}


async def test_signs_of_life_come_however_much_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of what a reader does not want: it would take a connection for dead that says nothing for long."""
    monkeypatch.setattr(answering, "HEARTBEAT_SECONDS", 0.2)
    run = await api.sdk.runs.create(None, "steps", input={}, stream_mode=["values", "updates"])
    attempt = await Attempt.begin(api.database, run["run_id"])
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"

    async def signs(path: str, sign: bytes) -> None:
        body = b""
        async with api.http.stream("GET", path) as response:
            async for chunk in response.aiter_raw():
                body += chunk
                if body.count(sign) == 3:
                    return

    readers = (
        signs(f"{path}/stream", HEARTBEAT),
        signs(f"{path}/stream?stream_mode=updates", HEARTBEAT),
        signs(f"{path}/join", b"\n"),
        signs(f"/threads/{run['thread_id']}/stream", HEARTBEAT),
        signs(f"/threads/{run['thread_id']}/stream?stream_mode=lifecycle", HEARTBEAT),
        signs(f"/threads/{run['thread_id']}/stream/events?channels=custom", HEARTBEAT),
    )
    reading = asyncio.gather(*readers)
    async with asyncio.timeout(60):
        while not reading.done():
            await attempt.tell("values", {"steps": [1]})
            await asyncio.sleep(0.02)  # so often something is told
        await reading


async def test_silence_asks_the_database_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question a second is asked for all readers; a thousand that wait must not ask one each."""
    asked: list[Any] = []

    async def counted(*args: Any) -> Any:
        asked.append(args)
        return await read_page(*args)

    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.02)
    run = await api.sdk.runs.create(None, "steps", input={})
    services: Services = api.app.state.services
    with closing(services.hub.subscribe(UUID(run["run_id"]))) as subscription:
        pages = following.follow(api.database, subscription, read=counted)
        assert [await anext(pages) for _ in range(20)] == [None] * 20
    # The first look, and one more where the listener hears only now that the run was created.
    assert len(asked) <= 2


async def test_only_readers_that_lack_something_are_woken(api: Api) -> None:
    """One that is stuck lacks something all the time, and must not keep the run's others busy."""
    run = await api.sdk.runs.create(None, "steps", input={})
    insert = "INSERT INTO run_events (run_id, seq, event, data) VALUES (%s, %s, 'values', '{}')"
    await api.database.execute(insert, (run["run_id"], first_seq(1)))
    services: Services = api.app.state.services
    with (
        closing(services.hub.subscribe(UUID(run["run_id"]))) as behind,
        closing(services.hub.subscribe(UUID(run["run_id"]))) as complete,
    ):
        complete.position = first_seq(1)
        assert await behind.wait(60)
        assert not await complete.wait(0)


async def test_a_client_that_leaves_ends_its_stream_though_the_cancel_is_lost() -> None:
    """As Python 3.11's `wait_for` loses the one that comes together with what it waits for."""
    lost = ended = False
    reading = asyncio.Event()

    async def chunks() -> AsyncGenerator[bytes]:
        nonlocal lost, ended
        try:
            yield b"first"
            reading.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost = True
            await asyncio.Event().wait()
        finally:
            ended = True

    async def receive() -> Message:
        await reading.wait()
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        await asyncio.sleep(0)

    stream = Streamed(chunks(), media_type="text/plain", headers={})
    async with asyncio.timeout(60):
        await stream({"type": "http"}, receive, send)
    assert (lost, ended) == (True, True)


async def test_the_reader_of_a_run_that_is_forgotten_gets_an_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.05)
    run = await api.sdk.runs.create(None, "steps", input={})
    stream = api.sdk.runs.join_stream(run["thread_id"], run["run_id"], last_event_id="-")
    await Attempt.begin(api.database, run["run_id"])
    assert (await anext(stream)).event == "metadata"
    await api.database.execute("DELETE FROM runs WHERE run_id = %s", (run["run_id"],))
    async with asyncio.timeout(60):
        assert [(part.event, part.data) async for part in stream] == [("error", NO_RUN)]


async def test_a_stream_of_a_run_that_waits_answers_its_headers_at_once(api: Api) -> None:
    async with asyncio.timeout(2), api.http.stream("POST", "/runs/stream", json={"assistant_id": "steps"}) as response:
        assert response.headers["content-location"].startswith("/threads/")


async def test_a_reader_that_stops_reading_holds_nobody_back_and_costs_little(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={}, stream_mode="custom")
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream?last_event_id=-"
    async with api.http.stream("GET", path) as slow:
        attempt = await Attempt.begin(api.database, run["run_id"])
        for number in range(40):
            await attempt.tell("custom", {"number": number, "filler": "x" * 500_000})
        await attempt.succeed()
        async with asyncio.timeout(60):
            stream = api.sdk.runs.join_stream(run["thread_id"], run["run_id"], last_event_id="-")
            quick = [part async for part in stream]
        assert len(quick) == 41
        await until(lambda: open_streams(api) == 1)  # the slow one still waits, with a page of it in memory
        numbers = [
            orjson.loads(line[6:]).get("number") async for line in slow.aiter_lines() if line.startswith("data: ")
        ]
    assert [number for number in numbers if number is not None] == list(range(40))


async def test_two_readers_of_one_run_get_the_same(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})

    async def read() -> list[Any]:
        stream = api.sdk.runs.join_stream(run["thread_id"], run["run_id"], last_event_id="-")
        return [part async for part in stream]

    reading = [asyncio.create_task(read()) for _ in range(3)]
    attempt = await Attempt.begin(api.database, run["run_id"])
    for number in range(20):
        await attempt.tell("values", {"steps": [number]})
    await attempt.succeed()
    first, *others = await asyncio.gather(*reading)
    assert len(first) == 21
    assert all(other == first for other in others)


async def test_many_streams_are_dropped_without_a_trace(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream"

    async def come_and_go() -> None:
        async with api.http.stream("GET", path) as response:
            assert response.status_code == 200

    await asyncio.gather(*(come_and_go() for _ in range(50)))
    await until(lambda: open_streams(api) == 0)
    # Nobody is left behind: the end wakes no ghosts, and a reader still gets it.
    await (await Attempt.begin(api.database, run["run_id"])).succeed()
    stream = api.sdk.runs.join_stream(run["thread_id"], run["run_id"], last_event_id="-")
    assert [part.event async for part in stream] == ["metadata"]


async def test_shutting_down_cuts_streams_and_waits_off(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"
    await Attempt.begin(api.database, run["run_id"])

    async def stream() -> bytes:
        streamed = bytearray()
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 - and what came before that
            async with api.http.stream("GET", f"{path}/stream?last_event_id=-") as response:
                async for chunk in response.aiter_raw():
                    streamed.extend(chunk)
        return bytes(streamed)

    async def join() -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await api.http.get(f"{path}/join")

    both = asyncio.gather(stream(), join())
    await until(lambda: open_streams(api) == 1)
    api.server.should_exit = True
    async with asyncio.timeout(60):
        streamed, _ = await both
    assert b"event: metadata" in streamed


@pytest.mark.crash
async def test_a_killed_api_costs_a_streaming_client_nothing(api: Api, database_url: str) -> None:
    """The SDK reconnects with Last-Event-ID to the process that comes after, and misses and repeats nothing."""
    port = free_port()
    sdk = get_client(url=f"http://127.0.0.1:{port}", api_key=None)
    seen: list[Any] = []
    run_ids: list[str] = []

    async def read() -> None:
        stream = sdk.runs.stream(None, "steps", input={}, on_run_created=lambda run: run_ids.append(run["run_id"]))
        async for part in stream:
            seen.append(part)  # noqa: PERF401 - the test looks at it while it grows

    async with api_process(database_url, port) as there:
        reading = asyncio.create_task(read())
        await until(lambda: bool(run_ids))
        attempt = await Attempt.begin(api.database, run_ids[0])
        for number in range(10):
            await attempt.tell("values", {"steps": [number]})
        await until(lambda: len(seen) >= 5)
        there.process.kill()
        await there.process.wait()
        for number in range(10, 20):
            await attempt.tell("values", {"steps": [number]})
    async with api_process(database_url, port):
        for number in range(20, 30):
            await attempt.tell("values", {"steps": [number]})
        await attempt.succeed()
        async with asyncio.timeout(60):
            await reading
    await sdk.aclose()
    assert [part.event for part in seen] == ["metadata", *["values"] * 30]
    assert [part.data["steps"] for part in seen[1:]] == [[number] for number in range(30)]
    assert len({part.id for part in seen}) == 31


@pytest.mark.crash
async def test_the_process_dies_with_its_parent(database_url: str) -> None:
    async with api_process(database_url) as there:
        os.close(there.lifeline)
        async with asyncio.timeout(60):
            await there.process.wait()


async def test_a_stream_outlives_the_loss_of_every_database_connection(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    attempt = await Attempt.begin(api.database, run["run_id"])
    stream = api.sdk.runs.join_stream(run["thread_id"], run["run_id"], last_event_id="-")
    assert (await anext(stream)).event == "metadata"
    kill = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name LIKE 'relayrun-api%%' OR application_name LIKE 'relayrun-listen%%'"""
    assert len(await api.database.fetch_all(kill)) >= 2
    for number in range(3):
        await attempt.tell("values", {"steps": [number]})
    await attempt.succeed()
    async with asyncio.timeout(60):
        assert [part.event async for part in stream] == ["values", "values", "values"]

    async def served() -> bool:
        response = await api.http.get(f"/threads/{run['thread_id']}")
        assert response.status_code in (200, 503)
        return response.is_success

    assert await eventually(served)
