"""WebSockets of an API process that goes, asked or not: their clients go on at another, and miss nothing."""

from __future__ import annotations

import asyncio
import itertools
import signal
from uuid import uuid4

import pytest
from langgraph_sdk import get_client

from relayrun_core.database import Database
from tests.api.play import Attempt
from tests.api.process import ApiProcess
from tests.support.cutting import CuttingProxy
from tests.support.reading import client_of
from tests.support.sockets import Event, SocketFollower
from tests.support.waiting import until

CHANNELS = ["custom", "lifecycle"]


@pytest.mark.crash
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 1012), (signal.SIGKILL, None)])
async def test_readers_go_on_at_another_process(
    replicas: tuple[ApiProcess, ApiProcess], database: Database, number: signal.Signals, code: int | None
) -> None:
    going, staying = replicas
    handed_over = asyncio.Event()
    seen: list[Event] = []

    async def tell(attempt: Attempt) -> None:
        for nth in itertools.count():
            await attempt.tell("custom", {"number": nth})
            if handed_over.is_set():
                break
        await attempt.succeed()

    async def with_sdk() -> None:
        """LangGraph's SDK, which comes back on 1012, and takes 1000 and 1001 for the end of the stream."""
        async with (
            get_client(url=proxy.url, api_key=None) as sdk,
            sdk.threads.stream(thread_id, assistant_id="talk", transport="websocket") as thread,
        ):
            async for event in thread.subscribe(CHANNELS):
                seen.append(dict(event))  # noqa: PERF401 - looked at while it grows

    async with CuttingProxy(going.port).open() as proxy, client_of(staying.url) as client:
        thread_id = str(uuid4())
        start = {"id": 1, "method": "run.start", "params": {"assistant_id": "talk", "input": {}}}
        run = (await client.post(f"/threads/{thread_id}/commands", json=start)).json()["result"]["run_id"]
        followers = [SocketFollower(proxy.url, thread_id, CHANNELS) for _ in range(2)]
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for follower in followers:
                group.create_task(follower.read())
            group.create_task(with_sdk())
            telling = group.create_task(tell(await Attempt.begin(database, run)))
            readers = [*(follower.told for follower in followers), seen]
            await until(lambda: all(len(told) > 20 for told in readers))
            proxy.target = staying.port
            going.process.send_signal(number)
            assert await going.process.wait() == (0 if number == signal.SIGTERM else -number)
            had = [len(told) for told in readers]
            await until(lambda: all(len(told) > before for told, before in zip(readers, had, strict=True)))
            handed_over.set()
            await telling
        later = SocketFollower(staying.url, thread_id, CHANNELS)
        assert await later.read() == readers[0] == readers[1] == readers[2]
    for follower in followers:
        assert follower.codes[0] == code
        follower.numbered()
