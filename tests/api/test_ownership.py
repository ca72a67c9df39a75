"""Another owner's things do not exist: every route of the OpenAPI document is tried with another owner's ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import WebSocketRoute

from relayrun_api.auth import GuardedRoute
from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.ids import former_thread_id
from relayrun_core.runs import PendingInterrupt
from tests.api.access import HS256, as_admin, as_user
from tests.api.conftest import Api, opened
from tests.api.play import Attempt, ai, human
from tests.support.postgres import fresh_database

Route = tuple[str, str]
ALICE, BOB, ADMIN = as_user("alice"), as_user("bob"), as_admin()
QUESTION = PendingInterrupt("a" * 32, "ok?", "task-1")

#: Routes for everybody.
OPEN = {("GET", path) for path in ("/ok", "/info", "/status", "/healthz", "/readyz", "/metrics")}

#: A body that is right, for each route that takes one beside somebody's id in its path.
RUN = {"assistant_id": "talk", "input": {}}
CHECKPOINT = "1f1ec05a-b5f7-6416-8001-abd4b78b93bd"
BODIES: dict[Route, Any] = {
    ("PATCH", "/threads/{thread_id}"): {"metadata": {"stolen": True}},
    ("POST", "/threads/{thread_id}/runs"): RUN,
    ("POST", "/threads/{thread_id}/runs/stream"): RUN,
    ("POST", "/threads/{thread_id}/runs/wait"): RUN,
    ("POST", "/threads/{thread_id}/state"): {"values": {"messages": []}},
    ("POST", "/threads/{thread_id}/state/checkpoint"): {"checkpoint": {"checkpoint_id": CHECKPOINT}},
    ("POST", "/threads/{thread_id}/history"): {"limit": 1},
    ("PATCH", "/assistants/{assistant_id}"): {"name": "stolen"},
    ("POST", "/assistants/{assistant_id}/versions"): {},
    ("POST", "/assistants/{assistant_id}/latest"): {"version": 1},
    ("POST", "/threads/{thread_id}/runs/crons"): {**RUN, "schedule": "@yearly"},
    ("POST", "/threads/{thread_id}/commands"): {"id": 1, "method": "run.start", "params": RUN},
    ("POST", "/threads/{thread_id}/stream/events"): {"channels": ["values"]},
    ("PATCH", "/runs/crons/{cron_id}"): {"enabled": False},
    ("POST", "/a2a/{assistant_id}"): {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "SendMessage",
        "params": {
            "message": {"messageId": "", "role": "ROLE_USER", "parts": [{"data": {}}]},
            "configuration": {"returnImmediately": True},
        },
    },
}

#: What has to be in the query of a path's routes.
QUERIES = {
    "/threads/{thread_id}/stream/events": "?channels=values",
    "/.well-known/agent-card.json": "?assistant_id={assistant_id}",
}

#: Routes whose body names a thread or an assistant: bodies that lead to somebody else's.
LEADING: dict[Route, tuple[Any, ...]] = {
    ("GET", "/.well-known/agent-card.json"): (None,),
    ("POST", "/assistants"): (
        {"graph_id": "talk", "assistant_id": "{assistant}"},
        {"graph_id": "talk", "assistant_id": "{assistant}", "if_exists": "do_nothing"},
    ),
    ("POST", "/runs/crons"): ({"schedule": "@yearly", "assistant_id": "{assistant}"},),
    ("POST", "/threads"): (
        {"thread_id": "{thread}"},
        {"thread_id": "{thread}", "if_exists": "do_nothing"},
        {"thread_id": "{thread}", "graph_id": "talk", "supersteps": [{"updates": [{"values": {}, "as_node": "a"}]}]},
    ),
    **{
        ("POST", path): (
            {"message": "hi", "assistant_id": "talk", "thread_id": "{thread}"},
            {"resume": "yes", "assistant_id": "talk", "thread_id": "{thread}"},
            {"message": "hi", "assistant_id": "{assistant}"},
        )
        for path in ("/chat", "/invoke", "/run-task")
    },
}

#: The store: whose an item is stands in its namespace; test_store.py has these.
STORE = {
    ("PUT", "/store/items"),
    ("GET", "/store/items"),
    ("DELETE", "/store/items"),
    ("POST", "/store/items/search"),
    ("POST", "/store/namespaces"),
}

#: The Model Context Protocol: whose a run is stands in the message; test_mcp.py has these.
MCP = {("POST", "/mcp"), ("GET", "/mcp")}

#: Routes for admins alone: test_auth_keys.py and test_revisions.py have these.
ADMINS = {
    ("POST", "/keys"),
    ("GET", "/keys"),
    ("DELETE", "/keys/{key_id}"),
    ("GET", "/revisions/{agent_name}"),
}

#: Routes that name nobody's things; each has a test below.
NAMELESS = (
    {("GET", "/agents")}
    | STORE
    | MCP
    | {
        ("POST", path)
        for path in (
            "/threads/search",
            "/threads/count",
            "/threads/prune",
            "/runs/crons/search",
            "/runs/crons/count",
            "/runs/crons/preview",
            "/assistants/search",
            "/assistants/count",
            "/runs",
            "/runs/stream",
            "/runs/wait",
            "/runs/batch",
            "/runs/cancel",
            "/runs/search",
            "/runs/stats",
        )
    }
)


@dataclass(frozen=True)
class Things:
    """What one owner has: a thread that waits at a question, its run, an assistant."""

    thread: str
    run: str
    assistant: str
    cron: str

    def fill(self, path: str) -> str:
        ids = {"thread_id": self.thread, "run_id": self.run, "assistant_id": self.assistant, "cron_id": self.cron}
        whole = path + QUERIES.get(path, "")
        return whole.format(**ids, checkpoint_id="c", namespace="inner", key_id="k", agent_name="default")

    def fill_in(self, body: dict[str, Any] | None) -> dict[str, Any] | None:
        ids = {"{thread}": self.thread, "{assistant}": self.assistant}
        return body and {key: ids.get(value, value) if isinstance(value, str) else value for key, value in body.items()}


@pytest.fixture(scope="module")
async def guarded(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    async with (
        fresh_database(postgres) as url,
        opened(ApiSettings(database_url=url, crons_per_owner=0, **HS256)) as api,
    ):
        yield api


async def things_of(api: Api, headers: dict[str, str]) -> Things:
    body = {"assistant_id": "talk", "input": {}, "metadata": {"kind": "private"}}
    run = (await api.http.post("/runs", json=body, headers=headers)).raise_for_status().json()
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.pause({"messages": [human("hi", "h1"), ai("secret", "m1")]}, QUESTION)
    made = await api.http.post("/assistants", json={"graph_id": "talk", "name": "mine"}, headers=headers)
    body = {"assistant_id": made.raise_for_status().json()["assistant_id"], "schedule": "@yearly"}
    cron = await api.http.post(f"/threads/{run['thread_id']}/runs/crons", json=body, headers=headers)
    cron_id = cron.raise_for_status().json()["cron_id"]
    return Things(run["thread_id"], run["run_id"], body["assistant_id"], cron_id)


async def routes_of(api: Api) -> dict[Route, dict[str, Any]]:
    document = (await api.http.get("/openapi.json")).json()
    return {
        (method.upper(), path): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


async def status_of(api: Api, method: str, path: str, headers: dict[str, str], body: Any = None) -> int:
    # Only the answer's start: a stream would go on.
    async with asyncio.timeout(60), api.http.stream(method, path, headers=headers, json=body) as response:
        # Those who join are told with status 200 that there is no run, as by the Agent Server.
        missing = "content-length" in response.headers and b'"404: Run not found"' in await response.aread()
        return 404 if missing else response.status_code


async def everything(api: Api, things: Things) -> list[Any]:
    thread = "SELECT t::text AS row FROM threads t WHERE thread_id = %s"
    runs = "SELECT r::text AS row FROM runs r WHERE thread_id = %s ORDER BY seq"
    assistant = "SELECT a::text AS row FROM assistants a WHERE assistant_id = %s"
    crons = "SELECT c::text AS row FROM crons c WHERE thread_id = %s"
    queries = ((thread, things.thread), (runs, things.thread), (assistant, things.assistant), (crons, things.thread))
    return [await api.database.fetch_all(query, (thing,)) for query, thing in queries]


async def test_every_route_is_covered_here(guarded: Api) -> None:
    routes = {route: said for route, said in (await routes_of(guarded)).items() if route not in ADMINS}
    with_ids = {route for route in routes if "{" in route[1]}
    assert set(routes) == OPEN | set(LEADING) | NAMELESS | with_ids, "a new route: say above who may what"
    assert {route for route in with_ids if "requestBody" in routes[route]} == set(BODIES)
    parameters = {part.split("}")[0] for _, path in with_ids for part in path.split("{")[1:]}
    assert parameters == {"thread_id", "run_id", "assistant_id", "cron_id", "checkpoint_id", "namespace"}
    # The document may leave routes out; the application may not.
    served = [
        (method, route.path, isinstance(route, GuardedRoute))
        for route in guarded.app.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    ]
    assert {(method, path) for method, path, _ in served} == set(routes) | ADMINS
    assert {(method, path) for method, path, guard in served if not guard} == OPEN
    sockets = [route.path for route in guarded.app.routes if isinstance(route, WebSocketRoute)]
    assert sockets == ["/threads/{thread_id}/stream/events"], "a new WebSocket: see test_protocol_socket.py"


async def test_another_owners_things_are_not_found_on_any_route(guarded: Api) -> None:
    alices, bobs = await things_of(guarded, ALICE), await things_of(guarded, BOB)
    before = await everything(guarded, alices)
    mixed = (replace(alices, thread=bobs.thread), replace(alices, run=bobs.run))
    for method, path in await routes_of(guarded):
        if (method, path) in OPEN | NAMELESS | ADMINS:
            continue
        for body in LEADING.get((method, path), (BODIES.get((method, path)),)):
            sent = alices.fill_in(body)
            assert await status_of(guarded, method, alices.fill(path), BOB, sent) == 404, (method, path)
        if "{thread_id}" in path and "{run_id}" in path:
            for ids in mixed:
                assert await status_of(guarded, method, ids.fill(path), BOB) == 404, (method, path)
    assert await everything(guarded, alices) == before
    asked = {"schedule": "0 9 1 1 *", "timezone": "Europe/Berlin", "limit": 3}
    seen = (await guarded.http.post("/runs/crons/preview", json=asked, headers=BOB)).json()
    assert [time[4:] for time in seen["next"]] == ["-01-01T08:00:00+00:00"] * 3
    measured = (await guarded.http.get(f"/threads/{alices.thread}/storage", headers=ALICE)).json()
    assert (measured["complete"], measured["events"] > 0) == (True, True)


async def test_without_a_token_every_route_but_the_open_ones_is_401(guarded: Api) -> None:
    things = await things_of(guarded, ALICE)
    for method, path in await routes_of(guarded):
        expected = (200, 503) if (method, path) in OPEN else (401,)
        assert await status_of(guarded, method, things.fill(path), {}) in expected, (method, path)


async def cancellable(api: Api, path: str, things: Things, headers: dict[str, str]) -> str:
    """The route's path, with a run that has not ended where one is to be cancelled: else there would be nothing to."""
    if not path.endswith("/cancel"):
        return path
    later = RUN | {"after_seconds": 600}
    started = await api.http.post(f"/threads/{things.thread}/runs", json=later, headers=headers)
    return path.replace("{run_id}", started.raise_for_status().json()["run_id"])


async def test_an_admin_may_use_every_route_on_anybodys_things(guarded: Api) -> None:
    for method, path in await routes_of(guarded):
        if (method, path) in OPEN | NAMELESS | ADMINS:
            continue
        for body in LEADING.get((method, path), (BODIES.get((method, path)),)):
            things = await things_of(guarded, ALICE)
            sent = things.fill_in(body)
            where = await cancellable(guarded, path, things, ALICE)
            status = await status_of(guarded, method, things.fill(where), ADMIN, sent)
            assert status not in (401, 403, 404, 422, 500), (method, path)


async def test_crons_are_found_and_counted_by_their_owner_and_by_admins(guarded: Api) -> None:
    alices, bobs = await things_of(guarded, ALICE), await things_of(guarded, BOB)
    for headers, crons in ((BOB, {bobs.cron}), (ADMIN, {alices.cron, bobs.cron})):
        for query in ({}, {"thread_id": alices.thread}, {"assistant_id": bobs.assistant}):
            listed = await guarded.http.post("/runs/crons/search", json={"limit": 1000, **query}, headers=headers)
            found = {cron["cron_id"] for cron in listed.json()}
            of_thread = {"thread_id": {alices.cron}, "assistant_id": {bobs.cron}}.get(next(iter(query), ""), crons)
            assert found & {alices.cron, bobs.cron} == crons & of_thread
            counted = await guarded.http.post("/runs/crons/count", json=query, headers=headers)
            assert counted.json() == len(found)


async def test_a_run_that_an_admin_starts_on_a_thread_is_its_owners(guarded: Api) -> None:
    things = await things_of(guarded, ALICE)
    for if_not_exists in ("reject", "create"):
        body = {**RUN, "if_not_exists": if_not_exists}
        answer = await guarded.http.post(f"/threads/{things.thread}/runs", json=body, headers=ADMIN)
        assert answer.status_code == 200
        run = await guarded.http.get(f"/threads/{things.thread}/runs/{answer.json()['run_id']}", headers=ALICE)
        assert run.status_code == 200
    resumed = {"resume": "yes", "assistant_id": "talk", "thread_id": things.thread}
    refused = await guarded.http.post("/run-task", json=resumed, headers=ADMIN)
    assert (refused.status_code, refused.json()["code"]) == (409, "resume_conflict")  # busy, and not 404


async def test_a_name_means_another_thread_for_each_owner(guarded: Api) -> None:
    body = {"message": "hi", "thread_id": "diary", "assistant_id": "talk"}
    alices = (await guarded.http.post("/run-task", json=body, headers=ALICE)).json()["run_id"]
    bobs = (await guarded.http.post("/run-task", json=body, headers=BOB)).json()["run_id"]
    found = (await guarded.http.get("/threads/diary", headers=BOB)).json()
    theirs = (await guarded.http.get("/threads/diary", headers=ALICE)).json()
    assert found["thread_id"] != theirs["thread_id"]
    assert (await guarded.http.get(f"/threads/diary/runs/{bobs}", headers=BOB)).status_code == 200
    assert (await guarded.http.get(f"/threads/diary/runs/{alices}", headers=BOB)).status_code == 404
    assert (await guarded.http.get("/history/diary", headers=as_user("carol"))).json()["messages"] == []


async def test_a_name_cannot_be_taken_in_advance(guarded: Api) -> None:
    """Clients may choose ids of threads, and what a name's id once was everybody can work out."""
    for owner, name in (("alice", "default_user"), ("alice", "mine"), ("alice", "cron"), ("root", "default_user")):
        taken = {"thread_id": str(former_thread_id(owner, name)), "metadata": {"trap": True}}
        assert (await guarded.http.post("/threads", json=taken, headers=BOB)).status_code == 200
    http, talk = guarded.http, {"assistant_id": "talk", "input": {}}
    for owner in (ALICE, ADMIN):
        said = {"message": "hi", "assistant_id": "talk"}  # on the thread of that name
        answers = [
            await http.post("/run-task", json=said, headers=owner),
            await http.post("/threads/default_user/runs", json=talk, headers=owner),
        ]
        assert [answer.status_code for answer in answers] == [202, 200]
        thread = (await http.get("/threads/default_user", headers=owner)).json()
        assert thread["metadata"].get("trap") is None
        assert {answer.json()["thread_id"] for answer in answers} <= {thread["thread_id"], "default_user"}
    made = (await http.post("/threads", json={"thread_id": "mine"}, headers=ALICE)).json()
    assert (made["name"], made["metadata"]) == ("mine", {})
    found = await http.post("/threads/search", json={"ids": ["mine", "default_user", "cron"]}, headers=ALICE)
    assert {one["name"] for one in found.json()} == {"mine", "default_user"}
    assert (await http.post("/threads/prune", json={"thread_ids": ["mine"]}, headers=ALICE)).json() == {
        "pruned_count": 1
    }
    for headers in (ALICE, ADMIN):
        unknown = await http.get("/threads/cron", headers=headers)
        assert (unknown.status_code, unknown.json()["code"]) == (422, "thread_not_found")


async def found_threads(api: Api, headers: dict[str, str], **query: Any) -> set[str]:
    response = await api.http.post("/threads/search", json={"limit": 1000, **query}, headers=headers)
    assert response.status_code == 200, response.text
    return {thread["thread_id"] for thread in response.json()}


async def test_searches_find_ones_own_alone_and_an_admin_finds_all(guarded: Api) -> None:
    alices, bobs = await things_of(guarded, ALICE), await things_of(guarded, BOB)
    queries: tuple[dict[str, Any], ...] = (
        {},
        {"ids": [alices.thread, bobs.thread]},
        {"status": "interrupted"},
        {"values": {"messages": [{"id": "m1"}]}},
    )
    for query in queries:
        found = await found_threads(guarded, BOB, **query)
        assert bobs.thread in found
        assert alices.thread not in found
        everybodys = await found_threads(guarded, ADMIN, **query)
        assert {alices.thread, bobs.thread} <= everybodys
        if "ids" not in query:
            for headers, threads in ((BOB, found), (ADMIN, everybodys)):
                counted = await guarded.http.post("/threads/count", json=query, headers=headers)
                assert counted.json() == len(threads)
    for headers, sees_all in ((BOB, False), (ADMIN, True)):
        listed = await guarded.http.post("/assistants/search", json={"limit": 1000}, headers=headers)
        assistants = {assistant["assistant_id"] for assistant in listed.json()}
        assert bobs.assistant in assistants
        assert (alices.assistant in assistants) == sees_all
        counted = await guarded.http.post("/assistants/count", json={}, headers=headers)
        assert counted.json() == len(assistants)


@pytest.mark.parametrize("strategy", ["delete", "keep_latest"])
async def test_another_owners_threads_are_passed_over_when_threads_are_pruned(guarded: Api, strategy: str) -> None:
    alices, bobs = await things_of(guarded, ALICE), await things_of(guarded, BOB)
    before = await everything(guarded, alices)
    body = {"thread_ids": [alices.thread, str(uuid4()), bobs.thread], "strategy": strategy}
    pruned = await guarded.http.post("/threads/prune", json=body, headers=BOB)
    assert pruned.json() == {"pruned_count": 1}
    assert await everything(guarded, alices) == before
    pruned = await guarded.http.post("/threads/prune", json={**body, "strategy": "delete"}, headers=ADMIN)
    assert pruned.json() == {"pruned_count": 1 if strategy == "delete" else 2}


async def test_a_copy_by_an_admin_is_its_owners(guarded: Api) -> None:
    things = await things_of(guarded, ALICE)
    copy = (await guarded.http.post(f"/threads/{things.thread}/copy", headers=ADMIN)).json()["thread_id"]
    assert (await guarded.http.get(f"/threads/{copy}", headers=ALICE)).json()["values"]["messages"][0]["id"] == "h1"
    assert (await guarded.http.get(f"/threads/{copy}", headers=as_admin("other"))).status_code == 200
    assert (await guarded.http.get(f"/threads/{copy}", headers=BOB)).status_code == 404


@pytest.mark.parametrize("path", ["/runs", "/runs/stream", "/runs/wait"])
async def test_a_stateless_run_does_not_reach_into_a_thread_that_its_config_names(guarded: Api, path: str) -> None:
    alices = await things_of(guarded, ALICE)
    before = await everything(guarded, alices)
    into = {"thread_id": alices.thread, "checkpoint_id": CHECKPOINT, "run_id": alices.run}
    body = {**RUN, "config": {"configurable": into}, "checkpoint_id": CHECKPOINT, "command": {"resume": "yes"}}
    assert await status_of(guarded, "POST", path, BOB, body) == 409  # there is no question to answer
    del body["command"]
    async with guarded.http.stream("POST", path, json=body, headers=BOB) as response:
        location = response.headers["content-location"]
    assert alices.thread not in location
    row = await guarded.database.fetch_one("SELECT owner FROM runs WHERE run_id = %s", (UUID(location[-36:]),))
    assert row == {"owner": "bob"}
    assert await everything(guarded, alices) == before


async def test_nothing_tells_another_owners_things_from_what_never_was(guarded: Api) -> None:
    alices = await things_of(guarded, ALICE)
    answers: list[httpx.Response] = []
    for path in (f"/threads/{alices.thread}", f"/threads/{alices.thread}/runs/{alices.run}", f"/chat/{alices.run}"):
        unknown = path.replace(alices.thread, str(uuid4())).replace(alices.run, str(uuid4()))
        answers += [await guarded.http.get(where, headers=BOB) for where in (path, unknown)]
    for foreign, unknown_answer in zip(answers[::2], answers[1::2], strict=True):
        assert foreign.json()["code"] == unknown_answer.json()["code"]


async def test_cancelling_many_reaches_ones_own_runs_alone(guarded: Api) -> None:
    alices, bobs = [(await guarded.http.post("/runs", json=RUN, headers=who)).json() for who in (ALICE, BOB)]
    named = {"thread_id": alices["thread_id"], "run_ids": [alices["run_id"], bobs["run_id"]]}
    assert await status_of(guarded, "POST", "/runs/cancel", BOB, named) == 404
    assert await status_of(guarded, "POST", "/runs/cancel", BOB, {"status": "all"}) == 204
    statuses = {}
    for run, who in ((alices, ALICE), (bobs, BOB)):
        path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"
        statuses[run["run_id"]] = (await guarded.http.get(path, headers=who)).json()["status"]
    assert statuses == {alices["run_id"]: "pending", bobs["run_id"]: "interrupted"}
    assert await status_of(guarded, "POST", "/runs/cancel", ADMIN, {**named, "run_ids": [alices["run_id"]]}) == 204


async def test_a_batch_is_its_callers_and_reaches_into_no_thread(guarded: Api) -> None:
    alices = await things_of(guarded, ALICE)
    before = await everything(guarded, alices)
    into = {**RUN, "config": {"configurable": {"thread_id": alices.thread}}, "checkpoint_id": CHECKPOINT}
    runs = (await guarded.http.post("/runs/batch", json=[RUN, into], headers=BOB)).raise_for_status().json()
    found = await guarded.database.fetch_all(
        "SELECT owner FROM runs WHERE run_id = ANY(%s)", ([UUID(run["run_id"]) for run in runs],)
    )
    assert found == [{"owner": "bob"}] * 2
    [elsewhere] = (
        await guarded.http.post("/runs/batch", json=[{**RUN, "thread_id": alices.thread}], headers=BOB)
    ).json()
    assert elsewhere["thread_id"] != alices.thread
    assert await status_of(guarded, "POST", "/runs/batch", BOB, [{**RUN, "assistant_id": alices.assistant}]) == 404
    assert await everything(guarded, alices) == before
