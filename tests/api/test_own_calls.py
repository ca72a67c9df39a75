"""Calls with a runner's credential: as whom, for how long, and what the caller may not be."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from relayrun_api.settings import ApiSettings
from relayrun_core.loopback import AGENT, HEADER, LIFETIME_SECONDS, Caller, Signer
from tests.api.access import HS256, as_admin, as_user
from tests.api.conftest import Api, opened
from tests.api.play import Attempt

TOKEN = "the runners' token"
SIGNER = Signer(TOKEN)


@pytest.fixture
async def own(database_url: str) -> AsyncIterator[Api]:
    """An API with tokens, and a limit of three runs."""
    settings = ApiSettings(
        database_url=database_url,
        runner_token=TOKEN,
        rate_limit=3,
        **HS256,  # type: ignore[arg-type]
    )
    async with opened(settings) as api:
        yield api


def by(caller: Caller, ago: float = 0, signer: Signer = SIGNER) -> dict[str, str]:
    return {HEADER: signer.sign(caller, time.time() - ago)}


async def answer(api: Api, headers: dict[str, str], path: str = "/threads", **body: Any) -> httpx.Response:
    return await api.http.post(path, json=body, headers=headers)


async def running(api: Api, headers: dict[str, str]) -> tuple[Caller, Attempt]:
    """A run of a caller's that executes."""
    body = {"assistant_id": "talk", "input": {"messages": "hi"}}
    run = (await api.http.post("/runs", json=body, headers=headers)).json()
    attempt = await Attempt.begin(api.database, run["run_id"])
    return Caller(UUID(run["run_id"]), attempt.number), attempt


async def test_a_run_owns_what_its_owner_would(own: Api) -> None:
    caller, _ = await running(own, as_user("alice"))
    made = (await answer(own, by(caller))).json()["thread_id"]
    for headers, status in ((as_user("alice"), 200), (by(caller), 200), (as_user("bob"), 404)):
        assert (await own.http.get(f"/threads/{made}", headers=headers)).status_code == status
    others = (await answer(own, as_user("bob"))).json()["thread_id"]
    assert (await own.http.get(f"/threads/{others}", headers=by(caller))).status_code == 404


async def test_a_run_of_an_admin_is_no_admin(own: Api) -> None:
    others = (await answer(own, as_user("bob"))).json()["thread_id"]
    assert (await own.http.get(f"/threads/{others}", headers=as_admin())).status_code == 200
    caller, _ = await running(own, as_admin())
    assert (await own.http.get(f"/threads/{others}", headers=by(caller))).status_code == 404


async def test_it_wins_over_whatever_else_is_sent(own: Api) -> None:
    caller, _ = await running(own, as_user("alice"))
    made = (await answer(own, {**by(caller), **as_user("bob"), "X-Api-Key": "of LangSmith"})).json()["thread_id"]
    assert (await own.http.get(f"/threads/{made}", headers=as_user("bob"))).status_code == 404


async def test_it_ends_with_its_attempt(own: Api) -> None:
    caller, attempt = await running(own, as_user("alice"))
    assert (await answer(own, by(Caller(caller.run_id, caller.attempt + 1)))).status_code == 401
    assert (await answer(own, by(Caller(uuid4(), 1)))).status_code == 401
    assert (await answer(own, by(caller))).status_code == 200
    await attempt.succeed()
    refused = await answer(own, by(caller))
    assert (refused.status_code, "no longer runs" in refused.json()["detail"]) == (401, True)


@pytest.mark.parametrize(
    "headers",
    [by(AGENT, LIFETIME_SECONDS + 5), by(AGENT, signer=Signer("another")), {HEADER: ""}, {HEADER: "a.b"}],
    ids=["old", "foreign", "empty", "nonsense"],
)
async def test_a_credential_that_is_not_valid_is_refused_whoever_sends_it(own: Api, headers: dict[str, str]) -> None:
    assert (await answer(own, headers)).status_code == 401
    assert (await answer(own, {**headers, **as_user("alice")})).status_code == 401


async def test_an_agents_code_outside_of_runs_sees_all_and_owns_nothing(own: Api) -> None:
    others = (await answer(own, as_user("bob"))).json()["thread_id"]
    assert (await own.http.get(f"/threads/{others}", headers=by(AGENT))).status_code == 200
    made = (await answer(own, by(AGENT))).json()["thread_id"]
    assert (await own.http.get(f"/threads/{made}", headers=as_user("bob"))).status_code == 404


async def test_runs_that_a_run_starts_count_for_its_owner_and_an_agents_for_nobody(own: Api) -> None:
    body = {"assistant_id": "talk", "input": {"messages": "hi"}}
    caller, _ = await running(own, as_user("alice"))
    statuses = [(await answer(own, by(caller), "/runs", **body)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await answer(own, as_user("alice"), "/runs", **body)).status_code == 429
    assert [(await answer(own, by(AGENT), "/runs", **body)).status_code for _ in range(4)] == [200] * 4


async def test_an_api_without_a_runners_token_knows_no_such_callers(database_url: str) -> None:
    async with opened(ApiSettings(database_url=database_url, **HS256)) as api:  # type: ignore[arg-type]
        assert (await answer(api, by(AGENT))).status_code == 401
        assert (await answer(api, {**by(AGENT), **as_user("alice")})).status_code == 200
