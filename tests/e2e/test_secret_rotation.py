"""The runners' token and the secret of JSON Web Tokens are replaced under load: two count while one is rotated."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path

import httpx
import pytest

from relayrun_core.rotating import PREVIOUS
from tests.api.access import as_user, bearer, token
from tests.api.process import api_process
from tests.runner.processes import runner_process, write_agent
from tests.support.waiting import until_it_is

pytestmark = [pytest.mark.slow]

AGENT = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    n: int

graph = StateGraph(State).add_node("one", lambda state: {"n": 1}).add_edge(START, "one")
"""
OLD, NEW = "the old one, which has thirty-two bytes and more", "the new one, which has thirty-two bytes and more"


class Mounted:
    """A Secret as one pod has it mounted."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "secret"
        folder.mkdir()
        self.write(OLD)

    def write(self, current: str, previous: str | None = None) -> None:
        """As the kubelet does when the Secret has changed."""
        before = self.file.with_name(PREVIOUS + self.file.name)
        for file, text in ((before, previous), (self.file, current)):
            if text is None:
                file.unlink(missing_ok=True)
            else:
                new = file.with_suffix(".new")
                new.write_text(text + "\n")
                new.replace(file)


class Load:
    """Requests to the API, each of which it asks a runner for. Callers have whatever token their issuer gave them."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.callers = [OLD]
        self.done = 0
        self._http = http

    async def forever(self) -> None:
        for n in itertools.count():
            for key in tuple(self.callers):
                headers = bearer(token("alice", key=key))
                item = {"namespace": ["alice"], "key": str(n), "value": {"n": n}}
                for answer in (
                    await self._http.put("/store/items", json=item, headers=headers),
                    await self._http.get("/store/items", params={"key": str(n), "namespace": "alice"}, headers=headers),
                ):
                    assert answer.is_success, answer.text
            self.done += 1


async def test_no_request_fails_while_secrets_are_replaced(database_url: str, tmp_path: Path) -> None:
    config = write_agent(tmp_path / "agent", AGENT, graphs={"agent": "./agent.py:graph"})
    at_api, at_runner, of_callers = (Mounted(tmp_path / name) for name in ("api", "runner", "jwt"))
    listed = tmp_path / "runners.json"
    given = {"auth": "jwt", "jwt_secret_file": str(of_callers.file), "runner_token_file": str(at_api.file)}
    async with (
        runner_process(config, database_url, token_file=at_runner.file) as runner,
        api_process(database_url, runners_file=str(listed), runner_token="not this one", **given) as api,
        httpx.AsyncClient(base_url=api.url, timeout=60) as http,
    ):
        await runner.wait_ready()
        url = str(runner.client.base_url).rstrip("/")
        listed.write_text(json.dumps([{"name": "r", "url": url, "agent": "default", "graphs": ["agent"]}]))
        load = Load(http)
        loading = asyncio.create_task(load.forever())

        async def go_on() -> None:
            wanted = load.done + 3

            async def done() -> bool:
                if loading.done():
                    loading.result()
                return load.done >= wanted

            await until_it_is(done)

        await go_on()
        of_callers.write(NEW, previous=OLD)
        load.callers = [NEW, OLD]
        await go_on()
        load.callers = [NEW]
        await go_on()
        of_callers.write(NEW)
        await go_on()
        for first, second in ((at_api, at_runner), (at_runner, at_api)):
            for pod in (first, second):  # the kubelets of both look at different times
                pod.write(NEW, previous=OLD)
                await go_on()
            for pod in (first, second):
                pod.write(NEW)
                await go_on()
            for pod in (first, second):
                pod.write(OLD, previous=NEW)
                await go_on()
            for pod in (first, second):
                pod.write(OLD)
                await go_on()
        loading.cancel()
        await asyncio.wait([loading])
        assert loading.cancelled(), loading.exception()

        refused = await http.get("/store/items", params={"key": "0", "namespace": "alice"}, headers=as_user("alice"))
        assert refused.status_code == 401
        old = await http.post("/threads", json={}, headers=bearer(token("alice", key=OLD)))
        assert old.status_code == 401
        at_runner.write(NEW)
        away = await http.get("/store/items", params={"key": "0", "namespace": "alice"}, headers=bearer(token(key=NEW)))
        assert (away.status_code, away.headers["retry-after"]) == (503, "1")
