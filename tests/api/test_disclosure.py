"""What callers are not told: an author's code and paths, which tracebacks show, are for admins alone."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from relayrun_api.settings import ApiSettings
from tests.api.access import HS256, as_admin, as_user, caller
from tests.api.conftest import Api, opened
from tests.api.play import Attempt

#: Of `Attempt.fail`.
TRACEBACK = b"secret path"
SHOWN = [
    ("GET", "/threads/{thread}", None),
    ("GET", "/threads/{thread}/state", None),
    ("GET", "/threads/{thread}/runs", None),
    ("GET", "/threads/{thread}/runs/{run}", None),
    ("GET", "/threads/{thread}/runs/{run}/join", None),
    ("GET", "/threads/{thread}/runs/{run}/stream", None),
    ("GET", "/chat/{run}", None),
    ("GET", "/history/{thread}", None),
    ("POST", "/threads/search", {"limit": 100}),
    ("POST", "/threads/search", {"limit": 100, "select": ["error"]}),
    ("POST", "/threads/{thread}/copy", None),
]


async def failed(api: Api, http: httpx.AsyncClient, key: str) -> dict[str, Any]:
    """A run of the caller's that raised, and the requests that started it."""
    thread = (await http.post("/threads", json={})).json()["thread_id"]
    body = {"assistant_id": "talk", "input": {}}
    once = {"Idempotency-Key": key}
    run = (await http.post(f"/threads/{thread}/runs", json=body, headers=once)).json()
    [batched] = (await http.post("/runs/batch", json=[body], headers={"Idempotency-Key": f"{key}-batch"})).json()
    for one in (run, batched):
        attempt = await Attempt.begin(api.database, one["run_id"])
        await attempt.fail("ValueError", "no such thing")
    again = await http.post(f"/threads/{thread}/runs", json=body, headers=once)
    batched_again = await http.post("/runs/batch", json=[body], headers={"Idempotency-Key": f"{key}-batch"})
    assert "idempotency-replayed" in again.headers
    assert "idempotency-replayed" in batched_again.headers
    return {"thread": thread, "run": run["run_id"], "answers": (again, batched_again)}


async def contents(http: httpx.AsyncClient, things: dict[str, Any]) -> dict[str, bytes]:
    """What a caller reads on every route that tells of runs and of how they ended."""

    async def content(method: str, path: str, body: Any) -> bytes:
        answer = await http.request(method, path.format(**things), json=body)
        assert answer.status_code in (200, 202), (path, answer.text)
        return answer.content

    found = await asyncio.gather(*(content(*shown) for shown in SHOWN))
    replays = {f"replay {n}": answer.content for n, answer in enumerate(things["answers"])}
    return {f"{method} {path}": text for (method, path, _), text in zip(SHOWN, found, strict=True)} | replays


@pytest.fixture
async def guarded(database_url: str) -> Any:
    async with opened(ApiSettings(database_url=database_url, **HS256)) as api:
        yield api


async def test_a_traceback_is_told_to_admins_alone(guarded: Api) -> None:
    async with caller(guarded, as_user("alice")) as alice, caller(guarded, as_admin()) as admin:
        things = await failed(guarded, alice, "hers")
        hers = await contents(alice, things)
        assert [place for place, text in hers.items() if TRACEBACK in text or b"traceback" in text] == []
        assert b"no such thing" in hers["GET /threads/{thread}/runs/{run}"]
        admins = await contents(admin, {**things, "answers": ()})
        with_traceback = [place for place, text in admins.items() if TRACEBACK in text]
        assert with_traceback == [f"{method} {path}" for method, path, _ in SHOWN[2:4]]


async def test_without_authentication_everybody_is_an_admin(api: Api) -> None:
    things = await failed(api, api.http, "anybodys")
    run = (await api.http.get(f"/threads/{things['thread']}/runs/{things['run']}")).json()
    assert run["error"]["traceback"] == TRACEBACK.decode()
