"""What is stored and runs later runs as whoever said last what it is, and with that one's rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.ids import default_assistant_id
from tests.api.access import HS256, as_admin, as_user
from tests.api.authored import Authored, authored
from tests.api.conftest import Api, opened
from tests.api.play import STEPS as SCHEMA
from tests.api.play import register
from tests.api.test_crons import cron_of, fired, forget_graphs
from tests.runner.processes import write_agent
from tests.support.postgres import fresh_database

ALICE, BOB, ADMIN = as_user("alice"), as_user("bob"), as_admin("root")
YEARLY = {"schedule": "@yearly", "input": {}}
WHAT: list[dict[str, Any]] = [
    {"input": {"steps": ["x"]}},
    {"config": {"configurable": {"k": 1}}},
    {"context": {"k": 1}},
    {"metadata": {"k": 1}},
    {"webhook": "https://receiver.example/"},
    {"interrupt_before": ["a"]},
    {"multitask_strategy": "rollback"},
]
WHEN: list[dict[str, Any]] = [{"schedule": "@hourly"}, {"timezone": "UTC"}, {"end_time": None}, {"enabled": True}]


def named(change: dict[str, Any]) -> str:
    return next(iter(change))


@dataclass(frozen=True)
class Place:
    api: Api

    async def ask(self, who: dict[str, str], method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = await self.api.http.request(method, path, json=body, headers=who)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def assistant(self, who: dict[str, str], **more: Any) -> str:
        made = await self.ask(who, "POST", "/assistants", {"graph_id": "steps", **more})
        return str(made["assistant_id"])

    async def thread(self, who: dict[str, str]) -> str:
        return str((await self.ask(who, "POST", "/threads", {}))["thread_id"])

    async def cron(self, who: dict[str, str], thread: str, assistant: str = "steps") -> Any:
        body = {**YEARLY, "assistant_id": assistant}
        return await self.ask(who, "POST", f"/threads/{thread}/runs/crons", body)

    async def change(self, who: dict[str, str], cron: Any, body: Any, status: int = 200) -> Any:
        return await self.ask(who, "PATCH", f"/runs/crons/{cron['cron_id']}", body, status)

    async def configurable(self, cron: Any) -> Any:
        """Of the run that the cron starts now."""
        found = await fired(self.api, cron)
        assert found.refusal is None
        row = await self.api.database.fetch_one("SELECT spec FROM runs WHERE run_id = %s", (found.last_run_id,))
        assert row is not None
        return row["spec"]["config"]["configurable"]


@pytest.fixture(scope="module")
async def place(postgres: EmbeddedPostgres) -> AsyncIterator[Place]:
    async with fresh_database(postgres) as url:
        settings = ApiSettings(database_url=url, crons_per_owner=0, **HS256)
        async with opened(settings) as api:
            yield Place(api)


@pytest.mark.parametrize("change", [*WHAT, *WHEN], ids=named)
async def test_whoever_changes_an_admins_cron_does_not_get_its_rights(place: Place, change: dict[str, Any]) -> None:
    bobs = await place.assistant(BOB)
    hers = await place.thread(ALICE)
    admins = await place.cron(ADMIN, hers, bobs)
    before = await cron_of(place.api, admins)
    # An admin may run bob's; she may not, nor have the admin do it.
    await place.change(ALICE, admins, change, 404)
    assert await cron_of(place.api, admins) == before
    # One that she could have made herself becomes hers.
    ordinary = await place.cron(ADMIN, hers)
    assert (await cron_of(place.api, ordinary)).as_admin
    await place.change(ALICE, ordinary, change)
    now = await cron_of(place.api, ordinary)
    assert (now.as_admin, now.runs_as, now.owner) == (False, "alice", "alice")
    assert (await fired(place.api, ordinary)).refusal is None


async def test_who_owns_a_thread_may_always_pause_what_runs_on_it(place: Place) -> None:
    cron = await place.cron(ADMIN, await place.thread(ALICE), await place.assistant(BOB))
    await place.change(ALICE, cron, {"enabled": False})
    paused = await cron_of(place.api, cron)
    assert (paused.enabled, paused.runs_as, paused.as_admin) == (False, "root", True)
    await place.change(ALICE, cron, {"enabled": True}, 404)


@pytest.mark.parametrize("change", [*WHAT, *WHEN], ids=named)
async def test_an_admin_lends_its_rights_only_to_what_it_says_itself(place: Place, change: dict[str, Any]) -> None:
    cron = await place.cron(ALICE, await place.thread(ALICE))
    await place.change(ADMIN, cron, change)
    now = await cron_of(place.api, cron)
    expected = (True, "root") if change in WHAT else (False, "alice")
    assert ((now.as_admin, now.runs_as), now.owner) == (expected, "alice")


async def test_an_assistants_owner_does_not_change_what_others_crons_run(place: Place) -> None:
    bobs = await place.assistant(BOB, config={"configurable": {"level": "first"}})
    admins = await place.cron(ADMIN, await place.thread(ALICE), bobs)
    own = await place.cron(BOB, await place.thread(BOB), bobs)
    await place.ask(BOB, "PATCH", f"/assistants/{bobs}", {"config": {"configurable": {"level": "second"}}})
    assert (await place.configurable(admins))["level"] == "first"
    assert (await place.configurable(own))["level"] == "second"
    await place.change(ADMIN, admins, {"input": {}})
    assert (await place.configurable(admins))["level"] == "second"
    await place.ask(BOB, "POST", f"/assistants/{bobs}/latest", {"version": 1})
    assert (await place.configurable(admins))["level"] == "second"
    assert (await place.configurable(own))["level"] == "first"


async def test_nobody_stands_for_a_graph_that_is_gone(place: Place) -> None:
    """The id of a graph's own assistant is known to everybody, and an assistant may be made under any free id."""
    taken = str(default_assistant_id("early"))
    await place.assistant(BOB, assistant_id=taken)
    await register(place.api.database, "early", SCHEMA)
    forget_graphs(place.api)
    cron = await place.cron(ADMIN, await place.thread(ALICE), taken)
    # The newest build offers it no more.
    await register(place.api.database, "steps", SCHEMA, build="2")
    forget_graphs(place.api)
    try:
        refused = await fired(place.api, cron)
        assert (refused.last_run_id, "assistant not found" in str(refused.refusal)) == (None, True)
        await place.ask(ADMIN, "POST", "/runs", {"assistant_id": taken, "input": {}}, 404)
        await place.ask(BOB, "DELETE", f"/assistants/{taken}", status=204)
        for name in ("early", "default/early"):
            body = {"graph_id": "steps", "assistant_id": str(default_assistant_id(name))}
            await place.ask(BOB, "POST", "/assistants", body, 404)
    finally:
        await place.api.database.execute("DELETE FROM graphs WHERE build = '2'")
        forget_graphs(place.api)


# Where the author's own authentication says who calls, runs carry that user


AUTH = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def authenticate(authorization):
    return {"identity": authorization.split()[1], "permissions": ["of " + authorization.split()[1]]}

@auth.on
async def everybody_works_together(ctx, value):
    return True
"""
GRAPH = """
from typing import Any, TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    messages: list[Any]

graph = StateGraph(State).add_node("note", lambda state: {}).add_edge(START, "note")
"""


@pytest.fixture(scope="module")
async def together(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Authored]:
    folder = tmp_path_factory.mktemp("together")
    keys = {"graphs": {"whoami": "./agent.py:graph"}, "auth": {"path": "./auth.py:auth"}}
    config = write_agent(folder / "agent", GRAPH, **keys)
    (config.parent / "auth.py").write_text(AUTH)
    async with fresh_database(postgres) as url, authored(url, folder, config) as place:
        yield place


async def user_of(place: Authored, run_id: Any) -> tuple[str, str, Any]:
    """Who a run is for, its permissions, and what its assistant said."""
    row = await place.api.database.fetch_one("SELECT spec FROM runs WHERE run_id = %s", (UUID(str(run_id)),))
    assert row is not None
    user = row["spec"]["user"]
    return user["identity"], *user["permissions"], row["spec"]["config"].get("configurable", {}).get("level")


@pytest.mark.parametrize(
    ("change", "identity"),
    [({"input": {"messages": []}}, "mod"), ({"metadata": {"k": 1}}, "mod"), ({"schedule": "@hourly"}, "alice")],
    ids=["input", "metadata", "schedule"],
)
async def test_a_cron_runs_as_the_user_who_said_what(together: Authored, change: Any, identity: str) -> None:
    body = {**YEARLY, "assistant_id": "whoami"}
    cron = await together.ask("POST", "/runs/crons", "alice", body)
    await together.ask("PATCH", f"/runs/crons/{cron['cron_id']}", "mod", change)
    found = await fired(together.api, cron)
    assert await user_of(together, found.last_run_id) == (identity, f"of {identity}", None)


@pytest.mark.parametrize("change", [{"input": {"messages": []}}, {"schedule": "@hourly"}], ids=named)
async def test_the_owner_of_a_thread_takes_over_the_cron_it_changes(together: Authored, change: Any) -> None:
    thread = (await together.ask("POST", "/threads", "alice", {}))["thread_id"]
    body = {**YEARLY, "assistant_id": "whoami"}
    cron = await together.ask("POST", f"/threads/{thread}/runs/crons", "root", body)
    await together.ask("PATCH", f"/runs/crons/{cron['cron_id']}", "alice", change)
    found = await fired(together.api, cron)
    assert await user_of(together, found.last_run_id) == ("alice", "of alice", None)


@pytest.mark.parametrize("strategy", ["enqueue", "interrupt", "rollback"])
async def test_a_run_that_waits_stays_its_starters(together: Authored, strategy: str) -> None:
    """Whatever the owner of its thread and of its assistant does meanwhile."""
    ask = together.ask
    thread = (await ask("POST", "/threads", "alice", {}))["thread_id"]
    level = {"config": {"configurable": {"level": "first"}}}
    assistant = (await ask("POST", "/assistants", "alice", {"graph_id": "whoami", **level}))["assistant_id"]
    run = {"assistant_id": assistant, "input": {}}
    waiting = [
        await ask("POST", f"/threads/{thread}/runs", "root", {**run, **more}) for more in ({}, {"after_seconds": 600})
    ]
    await ask("PATCH", f"/assistants/{assistant}", "alice", {"config": {"configurable": {"level": "second"}}})
    await ask("PATCH", f"/threads/{thread}", "alice", {"metadata": {"belongs_to": "alice"}})
    more = {**run, "multitask_strategy": strategy}
    hers = await ask("POST", f"/threads/{thread}/runs", "alice", more)
    for one in waiting:
        assert await user_of(together, one["run_id"]) == ("root", "of root", "first")
    assert await user_of(together, hers["run_id"]) == ("alice", "of alice", "second")
    copy = (await ask("POST", f"/threads/{thread}/copy", "root"))["thread_id"]
    on_copy = await ask("POST", f"/threads/{copy}/runs", "root", run)
    assert await user_of(together, on_copy["run_id"]) == ("root", "of root", "second")
