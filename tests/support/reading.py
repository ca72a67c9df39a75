"""A client that reads a run's events over HTTP, and comes back with its last event's id whenever it is cut off."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson


@dataclass(frozen=True)
class Told:
    """One server-sent event."""

    id: str
    event: str
    data: Any


@dataclass
class Reader:
    """Reads one run's journal from the API, reconnecting until a stream comes to its end."""

    url: str
    thread: str
    run: str
    told: list[Told] = field(default_factory=list)
    connections: int = 0
    ended: bool = False
    #: Who reads, to an API that wants to know.
    name: str = ""

    async def read(self) -> list[Told]:
        """Read to the end."""
        async with client_of(self.url) as client:
            while not self.ended:
                try:
                    self.ended = await self._connect(client)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)  # as browsers do
        return self.told

    @property
    def steps(self) -> list[str]:
        """The steps whose updates were told, in order."""
        updates = [told.data for told in self.told if told.event.partition("|")[0] == "updates"]
        return [step for update in updates for step in update if not step.startswith("__")]

    @property
    def attempts(self) -> list[int]:
        """The attempts whose beginnings were told."""
        return [told.data["attempt"] for told in self.told if told.event == "metadata"]

    async def _connect(self, client: httpx.AsyncClient) -> bool:
        """Whether the stream came to its end; one that is cut off raises."""
        headers = {"Last-Event-ID": self.told[-1].id if self.told else "-"}
        if self.name:
            headers["Authorization"] = self.name
        path = f"/threads/{self.thread}/runs/{self.run}/stream"
        self.connections += 1
        async with client.stream("GET", path, headers=headers) as response:
            if response.status_code >= 500:
                await asyncio.sleep(0.05)  # the API lives, its database does not
                return False
            response.raise_for_status()
            async for told in events(response):
                self.told.append(told)
        return True

    async def result(self) -> dict[str, Any]:
        """The run, as the API tells it."""
        headers = {"Authorization": self.name} if self.name else {}
        async with client_of(self.url) as client:
            answer = await client.get(f"/threads/{self.thread}/runs/{self.run}", headers=headers)
        run: dict[str, Any] = answer.raise_for_status().json()
        return run

    def whole(self) -> None:
        """Every event once, in order, without a gap: numbers that follow each other within each attempt."""
        numbers = [int(told.id.partition("-")[2]) for told in self.told]
        assert numbers == sorted(set(numbers)), "repeated, or out of order"
        for one, other in itertools.pairwise(numbers):
            assert other == one + 1 or other == (other >> 32 << 32 | 1), f"a gap between {one} and {other}"
        assert "end" not in [told.event for told in self.told]


def client_of(url: str) -> httpx.AsyncClient:
    """A client of the API; it loads no certificates, which takes longer than most runs."""
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=httpx.Timeout(60, connect=20))


async def begin(url: str, graph: str, **run: Any) -> Reader:
    """Start a run on a thread of its own; what is returned can read it."""
    async with client_of(url) as client:
        thread = (await client.post("/threads", json={})).json()["thread_id"]
        body = {"assistant_id": graph, "input": {}, "stream_mode": ["updates"], **run}
        answer = await client.post(f"/threads/{thread}/runs", json=body)
        assert answer.is_success, (answer.status_code, answer.text)
        return Reader(url, thread, answer.json()["run_id"])


async def events(response: httpx.Response) -> AsyncIterator[Told]:
    """The events of a stream; an unfinished one, cut off in the middle, is none."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                yield Told(fields.get("id", ""), fields.get("event", "message"), orjson.loads(fields["data"]))
            fields = {}
