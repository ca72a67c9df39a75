"""Parts of `relayrun dev` are killed, or all of it: clients reconnect and miss nothing, runs go on."""

import asyncio

import psutil
import pytest
from langgraph_sdk import get_client

from tests.support.dev import Dev
from tests.support.reading import Reader, begin, client_of
from tests.support.waiting import until

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(180)]

TICKS = 40
SLOW_TICKS = {"input": {"upto": TICKS, "pause": 0.1}, "config": {"recursion_limit": 100}, "stream_mode": ["updates"]}


async def killed_in_the_middle(dev: Dev, part: str) -> Reader:
    """A slow run, read to its end by a client, while this part of dev was killed with -9."""
    reader = await begin(dev.url, "ticks", **SLOW_TICKS)
    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(reader.read())
        await until(lambda: len(reader.steps) > 5)
        kill_at_once(dev.running(part))
        assert not reading.done(), "it had ended before: this tests nothing"
    return reader


def kill_at_once(processes: list[psutil.Process]) -> None:
    """None of them sees another's death: a runner killed a moment later would claim the run in between.

    A number may still be given to a runner that is dying. Nobody claims it, and it is not used again: the claim may
    have committed. So the attempts that are told may have gaps.
    """
    for process in processes:
        process.suspend()
    for process in processes:
        process.kill()


async def test_a_client_whose_api_was_killed_reconnects_and_misses_and_repeats_nothing(dev: Dev) -> None:
    reader = await killed_in_the_middle(dev, "relayrun_api")
    assert reader.connections > 1
    reader.whole()
    assert reader.steps == ["tick"] * TICKS
    assert reader.attempts == [1]


async def test_the_official_client_rides_over_a_killed_api(dev: Dev) -> None:
    async with get_client(url=dev.url, api_key=None) as client:
        thread = await client.threads.create()
        told = []
        stream = client.runs.stream(
            thread["thread_id"], "ticks", input=SLOW_TICKS["input"], config=SLOW_TICKS["config"], stream_mode="updates"
        )
        async for part in stream:
            told.append(part)
            if len(told) == 6:
                dev.running("relayrun_api")[0].kill()
    assert [part.event for part in told] == ["metadata", *["updates"] * TICKS]
    assert len({part.id for part in told}) == len(told)


async def test_a_stream_goes_on_when_every_runner_was_killed(dev: Dev) -> None:
    reader = await killed_in_the_middle(dev, "relayrun_runner")
    reader.whole()
    assert reader.attempts[0] == 1
    assert len(reader.attempts) == 2
    assert reader.steps == ["tick"] * TICKS


async def test_a_stream_goes_on_when_the_postmaster_was_killed(dev: Dev) -> None:
    reader = await killed_in_the_middle(dev, "postgres")
    reader.whole()
    assert reader.steps == ["tick"] * TICKS
    assert reader.attempts == [1]


async def test_a_killed_dev_leaves_no_runner_and_no_api_behind_and_the_next_one_goes_on(dev: Dev) -> None:
    reader = await begin(dev.url, "ticks", **SLOW_TICKS)
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.read())
        await until(lambda: len(reader.steps) > 5)
        ours = [*dev.running("relayrun_api"), *dev.running("relayrun_runner")]
        postmaster = dev.running("postgres")[0]
        dev.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, ours, 10)
        assert alive == []
        assert postmaster.is_running()
        await dev.start()
    reader.whole()
    assert reader.steps == ["tick"] * TICKS
    assert reader.attempts == [1, 2]


async def test_runs_go_on_after_all_processes_were_killed_at_once_and_dev_was_started_again(dev: Dev) -> None:
    reader, waiting = await begin(dev.url, "ticks", **SLOW_TICKS), await begin(dev.url, "ask")
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.read())
        await waiting.read()
        await until(lambda: len(reader.steps) > 5)
        for process in [dev.process, *dev.process.children(recursive=True)]:
            process.kill()
        await asyncio.to_thread(dev.process.wait, 10)
        await dev.start()
    reader.whole()
    assert reader.steps == ["tick"] * TICKS
    assert reader.attempts == [1, 2]
    async with client_of(dev.url) as client:
        body = {"assistant_id": "ask", "command": {"resume": "yes"}}
        answer = await client.post(f"/threads/{waiting.thread}/runs/wait", json=body)
    assert answer.json() == {"done": ["plan", "act"], "answers": ["ok? yes"]}
