"""Runs of the 3-node graph through the SDK: by so many clients at once, for so many seconds."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from bench.samples import RunSample, Throughput

GRAPH = "three"
FINISHED_STEPS = 3
RUN_LIMIT_SECONDS = 30.0


class RunFailedError(Exception):
    """A run did not do what it should; the message says what was seen."""


@asynccontextmanager
async def sdk_client(url: str) -> AsyncIterator[LangGraphClient]:
    """The official client, closed afterwards."""
    async with get_client(url=url, timeout=RUN_LIMIT_SECONDS) as client:
        yield client


async def one_run(client: LangGraphClient) -> RunSample:
    """Creates a run on a new thread in one request and follows it to its end."""
    first = first_graph = None
    steps = 0
    began = time.perf_counter()
    async for part in client.runs.stream(
        str(uuid.uuid4()), GRAPH, input={"passed": []}, stream_mode="updates", if_not_exists="create"
    ):
        first = first or time.perf_counter()
        if part.event == "updates":
            first_graph = first_graph or time.perf_counter()
            steps += 1
        elif part.event == "error":
            raise RunFailedError(f"the run failed: {part.data}")
    ended = time.perf_counter()
    if first is None or first_graph is None or steps != FINISHED_STEPS:
        raise RunFailedError(f"the stream ended after {steps} of {FINISHED_STEPS} steps")
    return RunSample((first - began) * 1000, (first_graph - began) * 1000, (ended - began) * 1000)


async def warm_up(url: str, clients: int) -> None:
    """Runs that are not measured: they fill the pools of connections on both sides."""
    await measure(url, clients, seconds=10.0, most_runs=clients * 2)


async def measure(url: str, clients: int, seconds: float, most_runs: int) -> Throughput:
    """So many clients, each starting its next run when its last has ended, until the time or the runs are up.

    The rate counts until the last of the runs has ended. A failing run is noted and ends its client.
    """
    result = Throughput(clients)
    started = 0

    async def one_client(client: LangGraphClient) -> None:
        nonlocal started
        while started < most_runs and time.perf_counter() - began < seconds:
            started += 1
            try:
                async with asyncio.timeout(RUN_LIMIT_SECONDS):
                    result.samples.append(await one_run(client))
            except (RunFailedError, httpx.HTTPError, TimeoutError) as error:
                result.errors.append(f"{type(error).__name__}: {error}")
                return

    async with AsyncExitStack() as stack:
        # Making a client costs more than a run: none is made within the time.
        opened = [await stack.enter_async_context(sdk_client(url)) for _ in range(clients)]
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for client in opened:
                group.create_task(one_client(client))
        result.seconds = time.perf_counter() - began
    result.runs = len(result.samples)
    return result
