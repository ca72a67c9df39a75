"""Clients that start runs one after the other and follow each, coming back with Last-Event-ID as SDKs do."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx

from bench.chaos.seen import RunSeen, Told

#: The API says itself when to come back: longer than this nobody waits.
LONGEST_PAUSE_SECONDS = 1.0
_UNFINISHED = ("pending", "running")


class Clients:
    """So many clients of one API. What they see is in `runs`; `refusals` counts answers other than the wanted."""

    def __init__(self, url: str, *, pause_seconds: float) -> None:
        self.runs: list[RunSeen] = []
        self.refusals: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._url = url
        self._pause_seconds = pause_seconds

    async def run(self, count: int, clients: int, seconds: float = math.inf) -> None:
        """Have `clients` clients do `count` runs, half of each graph, and return when all have ended.

        After so many seconds none begins.
        """
        until = time.monotonic() + seconds
        numbers = itertools.takewhile(lambda _: time.monotonic() < until, range(count))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(clients):
                tasks.create_task(self._one_client(numbers))

    @property
    def ended(self) -> int:
        """How many runs have ended."""
        return sum(run.ended_at is not None for run in self.runs)

    async def _one_client(self, numbers: Any) -> None:
        timeout = httpx.Timeout(15, connect=5)  # a stream says something every five seconds
        async with httpx.AsyncClient(base_url=self._url, trust_env=False, verify=False, timeout=timeout) as client:
            for number in numbers:
                await self._one_run(client, RunSeen(("steps", "fan")[number % 2], str(uuid4())))

    async def _one_run(self, client: httpx.AsyncClient, seen: RunSeen) -> None:
        self.runs.append(seen)
        body = {
            "assistant_id": seen.graph,
            "input": {"did": [], "pause": self._pause_seconds},
            "stream_mode": ["updates"],
            "stream_subgraphs": True,
            "stream_resumable": True,
            "if_not_exists": "create",
        }
        seen.created_at, seen.status = time.time(), "created"
        path, key = f"/threads/{seen.thread}/runs", {"Idempotency-Key": str(uuid4())}
        seen.run = (await self._ask(lambda: client.post(path, json=body, headers=key)))["run_id"]
        path = f"{path}/{seen.run}"
        status = seen.status = "pending"
        while status in _UNFINISHED:
            await self._follow(client, path, seen)
            status = (await self._ask(lambda: client.get(path)))["status"]
        ended_at = time.time()
        values = (await self._ask(lambda: client.get(f"/threads/{seen.thread}")))["values"]
        # Only now: a run whose steps could not be read any more has not lost them.
        seen.status, seen.ended_at = status, ended_at
        seen.did = [(step, effect) for step, effect in values["did"]]

    async def _ask(self, ask: Callable[[], Any]) -> dict[str, Any]:
        """What the API answers, however often it has to be asked."""
        while True:
            try:
                response = await ask()
            except httpx.TransportError as error:
                self.refusals[type(error).__name__] += 1
                await _pause()
                continue
            if response.is_success:
                answer: dict[str, Any] = response.json()
                return answer
            await self._refused(response)

    async def _refused(self, response: httpx.Response) -> None:
        await response.aread()
        self.refusals[str(response.status_code)] += 1
        after = response.headers.get("Retry-After")
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or after is None:
            asked = f"{response.request.method} {response.request.url.path}"
            for name in asked.split("/"):
                asked = asked.replace(name, "{id}") if len(name) == 36 else asked
            self.faults[f"{asked} answered {response.status_code}: {response.text[:300]}"] += 1
        await _pause(float(after or 0))

    async def _follow(self, client: httpx.AsyncClient, path: str, seen: RunSeen) -> None:
        """Read until the body has properly ended."""
        while True:
            headers = {"Last-Event-ID": seen.told[-1].id if seen.told else "-"}
            try:
                async with client.stream("GET", f"{path}/stream", headers=headers) as response:
                    if response.is_success:
                        async for told in _events(response):
                            seen.told.append(told)
                        return
                    await self._refused(response)
            except httpx.TransportError as error:
                self.refusals[type(error).__name__] += 1
                await _pause()


async def _pause(seconds: float = 0.0) -> None:
    await asyncio.sleep(
        min(LONGEST_PAUSE_SECONDS, seconds) or random.uniform(0.05, 0.15)
    )  # as the API, or an SDK, has it


async def _events(response: httpx.Response) -> AsyncIterator[Told]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields and fields.get("id"):
            yield Told(time.time(), fields["id"], _step(fields))
        fields = {}


def _step(fields: dict[str, str]) -> str | None:
    """Which step an update tells of: one of a branch as a whole, which has several steps, tells of none."""
    if fields.get("event", "").partition("|")[0] != "updates":
        return None
    [update] = json.loads(fields["data"]).values()
    done = update.get("did", ())
    return str(done[0][0]) if len(done) == 1 else None
