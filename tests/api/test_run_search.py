"""POST /runs/search and /runs/stats, and a run's attempts: runs across threads, for those who may see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.db import run_search
from relayrun_core.runs import PendingInterrupt
from tests.api.access import HS256, as_admin, as_user
from tests.api.conftest import Api, opened
from tests.api.play import Attempt
from tests.api.test_refusals import check_problem
from tests.support.postgres import fresh_database

ALICE, BOB, ADMIN = as_user("alice"), as_user("bob"), as_admin()
QUESTION = PendingInterrupt("a" * 32, "ok?", "task-1")


@pytest.fixture(scope="module")
async def owned(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    async with fresh_database(postgres) as url, opened(ApiSettings(database_url=url, **HS256)) as api:
        yield api


async def start(api: Api, who: dict[str, str], thread: str, **more: Any) -> dict[str, Any]:
    body = {"assistant_id": "talk", "input": {}, "if_not_exists": "create", **more}
    answer = await api.http.post(f"/threads/{thread}/runs", json=body, headers=who)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def search(api: Api, who: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = await api.http.post("/runs/search", json=body, headers=who)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ids(page: dict[str, Any]) -> list[str]:
    return [run["run_id"] for run in page["runs"]]


async def test_owners_find_their_own_runs_and_admins_everybody_s(owned: Api) -> None:
    mine = await start(owned, ALICE, "owners-a", metadata={"case": "owners"})
    theirs = await start(owned, BOB, "owners-b", metadata={"case": "owners"})
    assert ids(await search(owned, ALICE, text="owners")) == [mine["run_id"]]
    assert ids(await search(owned, BOB, text="owners", owner="alice")) == [theirs["run_id"]]
    assert ids(await search(owned, ADMIN, text="owners")) == [theirs["run_id"], mine["run_id"]]
    found = await search(owned, ADMIN, text="owners", owner="alice")
    assert ids(found) == [mine["run_id"]]
    assert found["runs"][0]["owner"] == "alice"
    assert found["runs"][0]["thread_name"] == "owners-a"
    assert ids(await search(owned, BOB, text=mine["run_id"])) == []


async def test_pages_are_stable_while_runs_are_started(owned: Api) -> None:
    runs = [(await start(owned, ALICE, f"pages-{n}"))["run_id"] for n in range(5)]
    first = await search(owned, ALICE, text="pages-", limit=2)
    await start(owned, ALICE, "pages-new")
    second = await search(owned, ALICE, text="pages-", limit=2, cursor=first["next"])
    third = await search(owned, ALICE, text="pages-", limit=2, cursor=second["next"])
    assert [*ids(first), *ids(second), *ids(third)] == runs[::-1]
    assert third["next"] is None


async def test_a_bounded_search_says_where_to_go_on(owned: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = (await start(owned, ALICE, "needle"))["run_id"]
    for n in range(4):
        await start(owned, ALICE, f"hay-{n}")
    monkeypatch.setattr(run_search, "SCANNED_ROWS", 2)
    page, pages = await search(owned, ALICE, text="needle"), 1
    while not page["runs"]:
        page, pages = await search(owned, ALICE, text="needle", cursor=page["next"]), pages + 1
    assert (ids(page), pages) == ([wanted], 3)


async def test_runs_are_found_by_how_they_ended(owned: Api) -> None:
    async def ended(thread: str) -> Attempt:
        return await Attempt.begin(owned.database, UUID((await start(owned, ALICE, thread))["run_id"]))

    await (await ended("ends-well")).succeed()
    await (asking := await ended("ends-asking")).pause({}, QUESTION)
    await (failing := await ended("ends-badly")).fail("ValueError", "no")
    assert ids(await search(owned, ALICE, status=["error"], text="ends-")) == [str(failing.run_id)]
    (run,) = (await search(owned, ALICE, status=["interrupted"], text="ends-", graph="talk"))["runs"]
    assert (run["run_id"], run["state"], run["waiting"]) == (str(asking.run_id), "interrupted", True)
    assert (run["attempt"], run["runner"], run["reason"]) == (1, "runner-1", "WaitingForInput")
    assert ids(await search(owned, ALICE, thread_id="ends-badly")) == [str(failing.run_id)]
    assert ids(await search(owned, ALICE, thread_id="ends-badly", graph="steps")) == []
    assert ids(await search(owned, ALICE, created_before="2020-01-01T00:00:00Z")) == []
    await start(owned, ALICE, "ends-asking", command={"resume": "yes"})
    (run,) = (await search(owned, ALICE, status=["interrupted"], text="ends-"))["runs"]
    assert not run["waiting"]

    answer = await owned.http.post("/runs/stats", json={"minutes": 60}, headers=ALICE)
    numbers = answer.json()
    totals = {name: sum(bucket[name] for bucket in numbers["buckets"]) for name in ("success", "interrupted", "error")}
    assert totals == {"success": 1, "interrupted": 1, "error": 1}
    assert numbers["duration_ms"]["p50"] <= numbers["duration_ms"]["p95"]
    assert (await owned.http.post("/runs/stats", json={}, headers=as_user("carol"))).json()["buckets"] == []

    path = f"/threads/ends-badly/runs/{failing.run_id}/attempts"
    (attempt,) = (await owned.http.get(path, headers=ALICE)).json()
    assert (attempt["attempt"], attempt["runner"], attempt["ending"]) == (1, "runner-1", "Finished")
    thread = (await search(owned, ALICE, thread_id="ends-badly"))["runs"][0]["thread_id"]
    path = f"/threads/{thread}/runs/{failing.run_id}/attempts"
    check_problem(await owned.http.get(path, headers=BOB), 404, "run_not_found")


@pytest.mark.parametrize(
    "body",
    [
        {"cursor": "bm9uZQ"},
        {"cursor": "ä"},
        {"status": ["done"]},
        {"text": "a\0b"},
        {"limit": 201},
        {"created_after": "2026-11-23T14:30:00"},
        {"thread_id": ""},
    ],
)
async def test_a_search_for_what_cannot_be_is_refused(owned: Api, body: dict[str, Any]) -> None:
    check_problem(await owned.http.post("/runs/search", json=body, headers=ALICE), 422, "invalid_request")


async def test_text_is_no_pattern(owned: Api) -> None:
    await start(owned, ALICE, "patterns", metadata={"note": "100 percent"})
    wanted = await start(owned, ALICE, "patterns", metadata={"note": "100% of _it_"})
    assert ids(await search(owned, ALICE, text="100%")) == [wanted["run_id"]]
    assert ids(await search(owned, ALICE, text="_it_")) == [wanted["run_id"]]
