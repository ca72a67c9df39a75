"""LangGraph's Python SDK reads streams that are cut off again and again: it comes back by itself, and what it has read
in the end is the run's journal, event for event.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.schema import StreamPart

from tests.support.cutting import CuttingProxy
from tests.support.dev import Dev
from tests.support.reading import Reader, Told, client_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    # Cut off before its first event, the SDK has no id to come back with; our streams then begin anew.
    pytest.mark.filterwarnings("ignore:Reconnecting without a Last-Event-ID"),
]

CUTS_EACH = 6
GRAPH = "speech"
SPEECH: dict[str, Any] = {"input": {}, "stream_mode": ["custom", "updates"]}
CHANNELS: Any = ["custom", "updates", "lifecycle"]
Run = tuple[str, str]
"""A thread's id and its run's."""
Event = dict[str, Any]


async def test_a_hundred_cuts_lose_and_repeat_nothing(compat_dev: Dev) -> None:
    seed = random.randrange(1_000_000)
    print(f"the cuts' seed is {seed}")
    runs = [*[_streams] * 4, *[_streams_in_a_thread] * 2]
    joins = [*[_joins] * 3, *[_joins_in_a_thread] * 2, *[_joins_thread] * 3, *[_joins_thread_in_a_thread] * 2]
    events = [*[_events] * 2, *[_events_in_a_thread] * 2]
    async with AsyncExitStack() as stack:
        port = urlsplit(compat_dev.url).port or 0
        proxies = [
            await stack.enter_async_context(CuttingProxy(port, seed=seed + nth, cuts=CUTS_EACH).open())
            for nth in range(len(runs) + len(joins) + len(events))
        ]
        urls = iter([proxy.url for proxy in proxies])
        shared = await _start(compat_dev.url)
        async with asyncio.TaskGroup() as group:
            streamed = [group.create_task(read(next(urls))) for read in runs]
            joined = [group.create_task(read(next(urls), shared)) for read in joins]
            protocol = [group.create_task(read(next(urls))) for read in events]
    cuts = sum((proxy.done for proxy in proxies), Counter[str]())
    print(dict(cuts))
    assert cuts.total() >= 100
    assert len(cuts) == 8
    for run, told in [task.result() for task in streamed]:
        assert told == await _journal(compat_dev.url, run)
    journal = await _journal(compat_dev.url, shared)
    assert [_as_of_run(task.result()) for task in joined] == [journal] * len(joined)
    for thread, seen in [task.result() for task in protocol]:
        assert seen == await _uncut_events(compat_dev.url, thread)


async def test_a_reader_of_some_modes_gets_no_others_when_it_comes_back(compat_dev: Dev) -> None:
    run = await _start(compat_dev.url, topic="20")
    port = urlsplit(compat_dev.url).port or 0
    async with CuttingProxy(port, seed=2, cuts=1).open() as proxy, get_client(url=proxy.url, api_key=None) as sdk:
        stream = sdk.runs.join_stream(*run, stream_mode="updates", last_event_id="-")
        told = [part.event async for part in stream]
        assert proxy.done == {"between, ended": 1}
    assert told == ["updates"]


async def _start(url: str, **given: Any) -> Run:
    async with get_client(url=url, api_key=None) as sdk:
        thread = (await sdk.threads.create())["thread_id"]
        return thread, (await sdk.runs.create(thread, GRAPH, **{**SPEECH, "input": given}))["run_id"]


async def _streams(url: str) -> tuple[Run, list[Told]]:
    runs: list[Run] = []
    async with get_client(url=url, api_key=None) as sdk:
        thread = (await sdk.threads.create())["thread_id"]
        stream = sdk.runs.stream(
            thread, GRAPH, **SPEECH, on_run_created=lambda run: runs.append((thread, run["run_id"]))
        )
        told = [_told(part) async for part in stream]
    return runs[0], told


async def _streams_in_a_thread(url: str) -> tuple[Run, list[Told]]:
    def read() -> tuple[Run, list[Told]]:
        runs: list[Run] = []
        with get_sync_client(url=url, api_key=None) as sdk:
            thread = sdk.threads.create()["thread_id"]
            stream = sdk.runs.stream(
                thread, GRAPH, **SPEECH, on_run_created=lambda run: runs.append((thread, run["run_id"]))
            )
            told = [_told(part) for part in stream]
        return runs[0], told

    return await asyncio.to_thread(read)


async def _joins(url: str, run: Run) -> list[Told]:
    async with get_client(url=url, api_key=None) as sdk:
        return [_told(part) async for part in sdk.runs.join_stream(*run, last_event_id="-")]


async def _joins_in_a_thread(url: str, run: Run) -> list[Told]:
    def read() -> list[Told]:
        with get_sync_client(url=url, api_key=None) as sdk:
            return [_told(part) for part in sdk.runs.join_stream(*run, last_event_id="-")]

    return await asyncio.to_thread(read)


async def _joins_thread(url: str, run: Run) -> list[Told]:
    found = []
    async with get_client(url=url, api_key=None) as sdk:
        async for part in await sdk.threads.join_stream(run[0], last_event_id="-"):
            found.append(_told(part))
            if _is_run_done(found[-1]):
                break
    return found


async def _joins_thread_in_a_thread(url: str, run: Run) -> list[Told]:
    def read() -> list[Told]:
        found = []
        with get_sync_client(url=url, api_key=None) as sdk:
            for part in sdk.threads.join_stream(run[0], last_event_id="-"):
                found.append(_told(part))
                if _is_run_done(found[-1]):
                    break
        return found

    return await asyncio.to_thread(read)


async def _events(url: str) -> tuple[str, list[Event]]:
    found = []
    async with (
        get_client(url=url, api_key=None) as sdk,
        sdk.threads.stream(assistant_id=GRAPH) as thread,
    ):
        await thread.run.start(input={})
        async for event in thread.subscribe(CHANNELS):
            found.append(dict(event))  # noqa: PERF401 - an async comprehension would not be closed before its client
    return thread.thread_id, found


async def _events_in_a_thread(url: str) -> tuple[str, list[Event]]:
    def read() -> tuple[str, list[Event]]:
        with (
            get_sync_client(url=url, api_key=None) as sdk,
            sdk.threads.stream(assistant_id=GRAPH) as thread,
        ):
            thread.run.start(input={})
            return thread.thread_id, [dict(event) for event in thread.subscribe(CHANNELS)]

    return await asyncio.to_thread(read)


def _told(part: StreamPart) -> Told:
    return Told(part.id or "", part.event, part.data)


def _is_run_done(told: Told) -> bool:
    return told.event == "metadata" and told.data.get("status") == "run_done"


def _as_of_run(told: list[Told]) -> list[Told]:
    """What a thread's stream told of a run as the run's own tells it, which ends where the other tells the end."""
    return told[:-1] if _is_run_done(told[-1]) else told


async def _journal(url: str, run: Run) -> list[Told]:
    reader = Reader(url, *run)
    await reader.read()
    reader.whole()
    return reader.told


async def _uncut_events(url: str, thread: str) -> list[Event]:
    """The events of a thread's newest run, read once and without a cut."""
    found: list[Event] = []
    async with (
        client_of(url) as http,
        http.stream("POST", f"/threads/{thread}/stream/events", json={"channels": CHANNELS}) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                found.append(json.loads(line.removeprefix("data:")))
                if found[-1]["params"]["data"].get("event") == "completed" and not found[-1]["params"]["namespace"]:
                    break
    return found
