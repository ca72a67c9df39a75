"""Between the start of a local world and its first ready runner: what needs graphs waits, and is told why not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from relayrun_api.runners import starting
from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from tests.api.conftest import Api, opened
from tests.api.play import STEPS, register
from tests.support.postgres import fresh_database

BROKEN = "runner default-0-1 is not ready: graph steps: ImportError: no module named x"


class Stage:
    """An API whose world has just begun; `list` is what its world tells."""

    def __init__(self, api: Api, path: Path) -> None:
        self.api = api
        self._path = path

    def list(self, *, problems: tuple[str, ...] = (), **listing: Any) -> None:
        self._path.write_bytes(orjson.dumps({"runners": [], "desired": 1, "problems": problems, **listing}))

    async def register(self) -> None:
        """What the first runner does before it is ready."""
        for name in ("steps", "more"):
            await register(self.api.database, name, STEPS)
        self.list(starting=False)


@pytest.fixture
async def stage(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Stage]:
    path = tmp_path / "runners.json"
    path.write_bytes(orjson.dumps({"runners": [], "desired": 1, "problems": [], "starting": True}))
    async with (
        fresh_database(postgres) as url,
        opened(ApiSettings(database_url=url, auth="none", runners_file=path)) as api,
    ):
        # Of the build before: nothing of it may be told.
        await register(api.database, "old", STEPS, build="0")
        yield Stage(api, path)


async def test_ok_says_why_not_until_the_first_graphs_are_registered(stage: Stage) -> None:
    refused = await stage.api.http.get("/ok")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert (refused.json()["ok"], refused.json()["code"]) == (False, "no_runner")
    assert (await stage.api.http.get("/healthz")).status_code == 200
    assert (await stage.api.http.get("/readyz")).status_code == 200
    await stage.register()
    assert (await stage.api.http.get("/ok")).json() == {"ok": True, "services": {}}


async def test_what_needs_graphs_waits_for_them_and_then_sees_all_of_them(stage: Stage) -> None:
    http = stage.api.http
    run = {"assistant_id": "steps", "input": {}}
    asked = [
        asyncio.create_task(call)
        for call in (
            http.post("/runs", json=run),
            http.get("/assistants/old"),
            http.post("/assistants/search", json={}),
            http.post("/chat", json={"message": "hello", "assistant_id": "steps"}),
            http.get("/nothing-of-ours"),
        )
    ]
    await http.post("/threads", json={})  # which needs none is answered meanwhile
    assert not any(task.done() for task in asked)
    await stage.register()
    created, old, search, chat, nothing = [await task for task in asked]
    assert created.status_code == 200
    assert old.status_code == 422  # no graph, and no id
    assert sorted(assistant["graph_id"] for assistant in search.json()) == ["more", "steps", "talk"]
    assert chat.status_code == 422  # it has no messages: it was looked at
    assert nothing.status_code == 404


async def test_graphs_that_do_not_load_are_refused_at_once_with_the_reason(stage: Stage) -> None:
    stage.list(problems=(BROKEN,), starting=True)
    for refused in (
        await stage.api.http.get("/ok"),
        await stage.api.http.post("/runs", json={"assistant_id": "steps", "input": {}}),
        await stage.api.http.post("/assistants/search", json={}),
    ):
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert BROKEN in refused.json()["detail"]


async def test_nobody_waits_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "WAIT_SECONDS", 0.1)
    refused = await stage.api.http.get("/assistants/steps")
    assert (refused.status_code, refused.headers["Retry-After"], refused.json()["code"]) == (503, "1", "no_runner")


async def test_once_over_it_never_begins_again(stage: Stage) -> None:
    await stage.register()
    assert (await stage.api.http.get("/ok")).status_code == 200
    stage.list(problems=(BROKEN,), starting=True)
    assert (await stage.api.http.get("/ok")).status_code == 200


async def test_ok_asks_the_database_where_that_is_wanted(stage: Stage) -> None:
    await stage.register()
    assert (await stage.api.http.get("/ok?check_db=1")).json()["ok"] is True
    assert (await stage.api.http.get("/ok?check_db=0")).json() == {"ok": True, "services": {}}
