"""Where an author's authentication has no handlers for authorization, what one makes is one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from tests.api.authored import Authored, as_name, authored, timer_of
from tests.api.conftest import serving
from tests.api.play import STEPS, register
from tests.api.test_custom_auth import RUN
from tests.api.test_ownership import (
    ADMINS,
    BODIES,
    LEADING,
    NAMELESS,
    OPEN,
    everything,
    routes_of,
    status_of,
    things_of,
)
from tests.runner.processes import write_agent
from tests.support.postgres import fresh_database

AUTH = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def authenticate(authorization):
    if not authorization:
        raise Auth.exceptions.HTTPException(401, "Who are you?")
    return {"identity": authorization.split()[1], "permissions": ["admin"], "secret": "s"}

@auth.on.crons.create
async def only_anna(ctx, value):
    return ctx.user.identity == "anna"

@auth.on.store
async def filtered(ctx, value):
    return {"owner": ctx.user.identity}
"""
GRAPH = """
from typing import Any, TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    messages: list[Any]
    user: str

def note(state: State, config) -> State:
    return {"user": config["configurable"]["langgraph_auth_user_id"]}

graph = StateGraph(State).add_node("note", note).add_edge(START, "note")
"""
ALICE, BOB = as_name("alice"), as_name("bob")


@pytest.fixture(scope="module")
async def place(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Authored]:
    folder = tmp_path_factory.mktemp("owners")
    keys = {"graphs": {"whoami": "./agent.py:graph"}, "auth": {"path": "./auth.py:auth"}}
    config = write_agent(folder / "agent", GRAPH, **keys)
    (config.parent / "auth.py").write_text(AUTH)
    settings = {"rate_limit": 5, "rate_limit_window_seconds": 3600}
    async with fresh_database(postgres) as url, authored(url, folder, config, **settings) as place:
        yield place


async def test_another_users_things_are_not_found_on_any_route(place: Authored) -> None:
    made_cron = ("POST", "/threads/{thread_id}/runs/crons")
    alices = await things_of(place.api, as_name("anna"))
    before = await everything(place.api, alices)
    for method, path in await routes_of(place.api):
        if (method, path) in OPEN | NAMELESS | ADMINS | {made_cron, ("POST", "/runs/crons")}:
            continue
        for body in LEADING.get((method, path), (BODIES.get((method, path)),)):
            sent = alices.fill_in(body)
            assert await status_of(place.api, method, alices.fill(path), BOB, sent) == 404, (method, path)
    assert await status_of(place.api, "POST", alices.fill(made_cron[1]), BOB, BODIES[made_cron]) == 403
    assert await everything(place.api, alices) == before
    for call in ("/threads/search", "/assistants/search", "/runs/crons/search"):
        found = await place.ask("POST", call, "bob", {"limit": 100})
        assert not [thing for thing in found if thing["metadata"].get("created_by") != "system"], call
    graphs = await place.ask("POST", "/assistants/search", "bob", {"graph_id": "whoami"})
    assert [assistant["name"] for assistant in graphs] == ["whoami"]  # a graph's own is everybody's


async def test_the_identity_is_who_is_counted(place: Authored) -> None:
    for _ in range(5):
        assert await place.status("POST", "/runs", "carl", RUN) == 200
    assert await place.status("POST", "/runs", "carl", RUN) == 429
    assert await place.status("POST", "/runs", "dora", RUN) == 200


async def test_a_handler_that_filters_items_leaves_them_with_their_owners(place: Authored) -> None:
    item = {"namespace": ["emma", "notes"], "key": "k", "value": {}}
    assert await place.status("PUT", "/store/items", "emma", item) == 204
    assert await place.status("PUT", "/store/items", "fred", item) == 403
    assert await place.status("GET", "/store/items?namespace=emma.notes&key=k", "fred") == 404
    assert (await place.ask("POST", "/store/items/search", "fred", {}))["items"] == []


async def test_a_cron_waits_for_a_runner_that_can_be_asked(place: Authored) -> None:
    cron = await place.ask("POST", "/runs/crons", "anna", {**RUN, "schedule": "@yearly", "on_run_completed": "keep"})
    due = "UPDATE crons SET next_run_at = now() - interval '1s' WHERE cron_id = %s"
    await place.api.database.execute(due, (UUID(cron["cron_id"]),))
    place.list()
    try:
        assert await timer_of(place.api).once() == 0
    finally:
        place.list(place.runner)
    assert await timer_of(place.api).once() == 1
    fired = await place.ask("GET", f"/runs/crons/{cron['cron_id']}", "anna")
    await place.executed(fired["last_run_id"])
    [thread] = [one for one in await place.ask("POST", "/threads/search", "anna", {}) if one["metadata"].get("cron_id")]
    assert thread["values"] == {"user": "anna", "messages": "hi"}


@pytest.mark.parametrize(
    ("agent", "sentence"),
    [("unknown", "has been ready yet"), (None, "RELAYRUN_AUTH_AGENT"), ("other", "agent other, which authenticates")],
)
async def test_who_says_who_may_call_is_never_guessed(place: Authored, agent: str | None, sentence: str) -> None:
    await register(place.api.database, "steps", STEPS, "other")
    settings = place.api.app.state.services.settings.model_copy(update={"auth_agent": agent})
    try:
        async with serving(settings) as (_, _, url), httpx.AsyncClient(base_url=url, headers=ALICE) as http:
            answer = await http.get(f"/threads/{uuid4()}")
    finally:
        await place.api.database.execute("DELETE FROM graphs WHERE agent = 'other'")
    assert (answer.status_code, sentence in answer.json()["detail"]) == (503, True)


async def test_nobody_but_the_api_may_ask_the_handlers(place: Authored) -> None:
    async with httpx.AsyncClient(base_url=place.runner.url) as anybody:
        assert (await anybody.post("/auth", json={})).status_code == 401
