"""`relayrun dev` with the agent `gated`, and calls of its API that ride over whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from tests.support.dev import Dev, relayrun_dev
from tests.support.postgres import fresh_database
from tests.support.reading import Told, client_of, events
from tests.support.runner import AGENTS
from tests.support.serving import serving


@dataclass
class Hooks:
    """Takes webhooks, and keeps what they tell."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        self.bodies.append(await Request(scope, receive).json())
        await Response()(scope, receive, send)


@dataclass
class Place:
    """Where the calls are made."""

    dev: Dev
    database: Database
    hooks: Hooks
    http: httpx.AsyncClient

    @property
    def folder(self) -> Path:
        return self.dev.crash_folder

    def log(self, call: str) -> list[list[str]]:
        """The side effects of a call, in order: pid and step."""
        file = self.folder / f"{call}.log"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def begun(self, call: str) -> list[str]:
        return [step for _, step in self.log(call)]


@dataclass(eq=False)
class Call:
    """One call: its thread has its name. `path` is of its run, once that is known."""

    place: Place
    name: str
    graph: str = "steps"
    path: str = ""
    told: list[Told] = field(default_factory=list)
    connections: int = 0

    @property
    def http(self) -> httpx.AsyncClient:
        return self.place.http

    @property
    def thread(self) -> str:
        return f"/threads/{self.name}"

    def body(self, **more: Any) -> dict[str, Any]:
        body = {"assistant_id": self.graph, "input": {"call": self.name}, "stream_mode": ["updates", "values"]}
        return {**body, "if_not_exists": "create", **more}

    async def post(self, path: str, body: Any) -> Any:
        """A request that is answered at once."""
        answer = await self.http.post(path, json=body)
        assert answer.is_success, answer.text
        self.path = answer.headers.get("content-location", "")
        return answer.json()

    async def get(self, path: str) -> Any:
        """What a GET answers, asked again by who is cut off."""
        while True:
            try:
                answer = await self.http.get(path)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                assert answer.is_success, answer.text
                return answer.json()

    async def stream(self, method: str, path: str, body: Any = None, *, last: str | None = None) -> None:
        """Read to the end of the run, in a thread's stream of the one that there is. When cut off it goes on at the
        answer's `Location`, with the last event's id.
        """
        here, ended = path, False
        while not ended:
            headers = {"Last-Event-ID": self.told[-1].id if self.told else last or "-"}
            try:
                async with self.http.stream(method, path, json=body, headers=headers) as answer:
                    assert answer.is_success, (await answer.aread(), answer.status_code)
                    self.path = answer.headers.get("content-location", self.path)
                    self.connections += 1
                    method, path, body = "GET", answer.headers.get("location", here), None
                    async for told in events(answer):
                        self.told.append(told)
                        if told.data.get("status") == "run_done":
                            break
                ended = True
            except httpx.TransportError:
                await asyncio.sleep(0.05)

    async def wait(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer to who waits; who is cut off goes on at the `Location`, or where there is none sends it again."""
        while True:
            try:
                async with self.http.stream(method, path, json=body, headers=headers) as answer:
                    assert answer.is_success, (await answer.aread(), answer.status_code)
                    self.path = answer.headers["content-location"]
                    self.connections += 1
                    if "location" in answer.headers:
                        method, path, body = "GET", answer.headers["location"], None
                    return json.loads(await answer.aread())
            except httpx.TransportError:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def gated_dev(postgres: EmbeddedPostgres) -> AsyncIterator[Place]:
    """A started one on a database of its own, and somebody who takes webhooks."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(fresh_database(postgres))
        config = AGENTS / "gated" / "langgraph.json"
        environment = {"DATABASE_URL": url, "RELAYRUN_WEBHOOK_ALLOW_PRIVATE": "true"}
        dev = await stack.enter_async_context(relayrun_dev(config=config, slots=20, environment=environment))
        database = await stack.enter_async_context(Database.open(url, role="world"))
        hooks = Hooks()
        hooks.url = f"http://127.0.0.1:{await stack.enter_async_context(serving(hooks, lifespan='off'))}/hook"
        http = await stack.enter_async_context(client_of(dev.url))
        yield Place(dev, database, hooks, http)
