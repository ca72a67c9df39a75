"""An agent with a web app of its own, a real runner that serves it, and an API in front."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from relayrun_api.settings import ApiSettings
from tests.api.access import HS256, as_user
from tests.api.conftest import serving
from tests.support.runner import AGENTS, TOKEN, Runner, RunnerSetup
from tests.support.waiting import until

ALICE = as_user("alice")
LIMIT_SECONDS = 2.0


@dataclass(frozen=True)
class Routed:
    """An API with one runner that has the app."""

    url: str
    http: httpx.AsyncClient
    runner: Runner
    folder: Path

    def noted(self, word: str) -> int:
        """How often the app has noted something."""
        log = self.folder / "web.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return lines.count(f"{self.runner.pid} {word}")

    async def until_noted(self, word: str, times: int = 1) -> None:
        await until(lambda: self.noted(word) >= times)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    @asynccontextmanager
    async def held(self, path: str) -> AsyncIterator[asyncio.Task[httpx.Response]]:
        """A request that the app has, and answers after the block."""
        word, go = path.strip("/"), self.folder / "go"
        times, went = self.noted(word), self.noted("went on")
        task = asyncio.create_task(self.get(path))
        try:
            await self.until_noted(word, times + 1)
            yield task
        finally:
            go.touch()
            await asyncio.gather(task, return_exceptions=True)
            await until(lambda: not self.runner.alive or self.noted("went on") > went)
            go.unlink()


@asynccontextmanager
async def routed(
    database_url: str, folder: Path, written: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[Routed]:
    """The agent `shop`; `written` is in its langgraph.json in place of its `http`. `more`: settings of the API."""
    agent = "routed" if written is None else str(_agent(folder / "agent", written))
    setup = RunnerSetup(database_url, folder, agent, {"RELAYRUN_AGENT": "shop"})
    async with Runner(setup, f"runner-{folder.name}") as runner:
        runners = folder / "runners.json"
        entry = {"name": runner.name, "url": runner.url, "agent": "shop", "graphs": ["echo"], "ready": True}
        runners.write_bytes(orjson.dumps({"runners": [entry], "desired": 1, "problems": []}))
        settings = ApiSettings(
            database_url=database_url,
            runners_file=runners,
            runner_token=TOKEN,
            **{"custom_route_seconds": LIMIT_SECONDS, **HS256, **more},
        )
        async with (
            serving(settings) as (_, _, url),
            httpx.AsyncClient(base_url=url, headers=ALICE, timeout=20, trust_env=False) as client,
        ):
            yield Routed(url, client, runner, folder)


def _agent(folder: Path, written: dict[str, Any]) -> Path:
    folder.mkdir()
    config = {"dependencies": [str(AGENTS / "routed")], "graphs": {"echo": "graphs:echo"}, **written}
    (folder / "langgraph.json").write_bytes(orjson.dumps(config))
    return folder
