"""An author's own authentication and authorization, by real handlers in a real runner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi.routing import APIRoute
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from relayrun_api.auth import GuardedRoute
from relayrun_api.auth.routing import Router
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.db.keys import create_key
from tests.api.authored import Authored, as_name, authored, timer_of
from tests.api.play import Attempt
from tests.api.test_ownership import (
    ADMINS,
    BODIES,
    LEADING,
    NAMELESS,
    OPEN,
    cancellable,
    everything,
    routes_of,
    status_of,
    things_of,
)
from tests.api.test_protocol_socket import connected
from tests.support.postgres import fresh_database

ALICE, BOB = as_name("alice"), as_name("bob")
RUN = {"assistant_id": "whoami", "input": {"messages": "hi"}}


@pytest.fixture(scope="module")
async def place(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Authored]:
    async with (
        fresh_database(postgres) as url,
        authored(url, tmp_path_factory.mktemp("authored"), auth="custom,api-key") as place,
    ):
        yield place


async def test_every_guarded_route_says_what_its_callers_want(place: Authored) -> None:
    routes = [route for route in place.api.app.routes if isinstance(route, APIRoute)]
    guarded = [route for route in routes if isinstance(route, GuardedRoute)]
    for route in guarded:
        assert callable(route.permission), route.path
    open_to_all = {(method, route.path) for route in routes if route not in guarded for method in route.methods}
    assert open_to_all == OPEN


def test_a_route_that_does_not_say_what_its_callers_want_cannot_be_declared() -> None:
    async def handler() -> None:
        """Do something."""

    declared = Router("things").get("/things", operation_id="get_things", description="All of them.")
    with pytest.raises(ValueError, match="permission"):
        declared(handler)


@pytest.mark.parametrize(
    ("token", "status", "detail"),
    [
        ("alice teapot", 418, "I am a teapot"),
        ("alice broken", 500, "Authentication failed: "),
        ("alice assertion", 500, "Authentication failed: "),
        ("alice nobody", 500, "Authentication failed: "),
        ("eve", 403, "eve may nothing"),
    ],
)
async def test_a_refusal_is_told_in_the_authors_words_and_an_error_is_not(
    place: Authored, token: str, status: int, detail: str
) -> None:
    answer = await place.api.http.post("/threads/search", json={}, headers=as_name(token))
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert problem["detail"].startswith(detail)
    assert "secret" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_who_says_nothing_is_401_with_the_authors_headers_as_far_as_they_can_be_sent(place: Authored) -> None:
    answer = await place.api.http.post("/threads/search", json={})
    assert (answer.status_code, answer.json()["detail"]) == (401, "Who are you?")
    assert answer.headers["x-hint"] == "bearer"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not {"x-ask", "x-evil"} & set(answer.headers)
    studio = await place.api.http.post("/threads/search", json={}, headers={"x-auth-scheme": "langsmith"})
    assert studio.status_code == 401


async def test_what_a_filter_hides_is_not_found_on_any_route(place: Authored) -> None:
    alices, bobs = await things_of(place.api, ALICE), await things_of(place.api, BOB)
    before = await everything(place.api, alices)
    mixed = (replace(alices, thread=bobs.thread), replace(alices, run=bobs.run))
    for method, path in await routes_of(place.api):
        if (method, path) in OPEN | NAMELESS | ADMINS:
            continue
        for body in LEADING.get((method, path), (BODIES.get((method, path)),)):
            sent = alices.fill_in(body)
            assert await status_of(place.api, method, alices.fill(path), BOB, sent) == 404, (method, path)
        if "{thread_id}" in path and "{run_id}" in path:
            for ids in mixed:
                assert await status_of(place.api, method, ids.fill(path), BOB) == 404, (method, path)
    assert await everything(place.api, alices) == before


async def test_on_ones_own_things_no_route_is_refused(place: Authored) -> None:
    for method, path in await routes_of(place.api):
        if (method, path) in OPEN | NAMELESS | ADMINS:
            continue
        for body in LEADING.get((method, path), (BODIES.get((method, path)),)):
            things = await things_of(place.api, ALICE)
            where = await cancellable(place.api, path, things, ALICE)
            status = await status_of(place.api, method, things.fill(where), ALICE, things.fill_in(body))
            assert status not in (401, 403, 404, 422, 500), (method, path)


async def test_without_a_runner_nobody_is_let_in_anywhere(place: Authored) -> None:
    things = await things_of(place.api, ALICE)
    place.list()
    try:
        for method, path in await routes_of(place.api):
            body = BODIES.get((method, path), {})
            if (method, path) in OPEN:
                assert await status_of(place.api, method, path, ALICE) in (200, 503), (method, path)
            else:
                assert await status_of(place.api, method, things.fill(path), ALICE, body) in (503, 422), (method, path)
        answer = await place.api.http.get(f"/threads/{things.thread}", headers=ALICE)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await place.api.http.get("/status", headers=ALICE)).json().keys() == {"status"}
    finally:
        place.list(place.runner)


async def test_what_a_handler_writes_is_kept_and_what_it_filters_is_found(place: Authored) -> None:
    thread = await place.ask("POST", "/threads", "anna", {"metadata": {"kind": "note"}})
    assert thread["metadata"] == {"kind": "note", "belongs_to": "anna"}
    path = f"/threads/{thread['thread_id']}"
    assert await place.status("GET", path, "ben") == 404
    assert await place.status("GET", path, "mallory") == 403
    assert await place.status("GET", path, "root") == 200
    shared = await place.ask("PATCH", path, "anna", {"metadata": {"shared_with": ["ben", "cora"]}})
    assert shared["metadata"]["belongs_to"] == "anna"
    for call, allowed in (("", 200), ("/state", 200), ("/history", 200), ("/runs", 404)):
        assert await place.status("GET", path + call, "ben") == allowed, call
    assert await place.status("POST", f"{path}/runs", "ben", RUN) == 404
    assert await place.status("DELETE", path, "ben") == 404
    for name, count in (("anna", 1), ("ben", 0)):
        assert len(await place.ask("POST", "/threads/search", name, {})) == count
        assert await place.ask("POST", "/threads/count", name, {}) == count
    body = {"thread_ids": [thread["thread_id"]]}
    assert await place.ask("POST", "/threads/prune", "ben", body) == {"pruned_count": 0}
    assert await place.ask("POST", "/threads/prune", "anna", body) == {"pruned_count": 1}


async def test_where_a_filter_decides_owners_do_not_count(place: Authored) -> None:
    thread = (await place.ask("POST", "/threads", "yves", {}))["thread_id"]
    moved = 'UPDATE threads SET metadata = \'{"belongs_to": "zita"}\' WHERE thread_id = %s'
    await place.api.database.execute(moved, (UUID(thread),))
    path = f"/threads/{thread}"
    for name, status in (("yves", 404), ("zita", 200)):
        assert await place.status("GET", path, name) == status
        assert await place.status("POST", "/threads", name, {"thread_id": thread, "if_exists": "do_nothing"}) == status
        assert await place.status("POST", f"{path}/runs", name, {**RUN, "after_seconds": 600}) == status
    found = await place.ask("GET", path, "zita")
    assert found["metadata"]["belongs_to"] == "zita"
    assert await place.status("POST", "/runs/cancel", "yves", {"status": "all"}) == 404
    assert await place.status("POST", "/runs/cancel", "zita", {"status": "all"}) == 204


async def test_a_name_of_ones_own_means_the_same_thread_to_handlers(place: Authored) -> None:
    await place.ask("POST", "/threads", "dora", {"thread_id": "diary"})
    assert (await place.ask("GET", "/threads/diary", "dora"))["metadata"] == {"belongs_to": "dora"}
    assert await place.status("GET", "/threads/diary", "emil") == 422  # as any name that is nobody's
    assert (await place.ask("GET", "/history/diary", "emil"))["messages"] == []


async def test_a_run_knows_its_user_and_does_not_show_it(place: Authored) -> None:
    forged = {"configurable": {"langgraph_auth_user": {"identity": "root"}, "langgraph_auth_user_id": "root"}}
    modes = ["values", "updates", "debug", "tasks", "checkpoints", "events", "messages-tuple", "custom"]
    run = await place.run("fritz", config=forged, stream_mode=modes)
    path = f"/threads/{run['thread_id']}"
    thread = await place.ask("GET", path, "fritz")
    assert thread["values"]["seen"] == {
        "identity": "fritz",
        "member": "red",
        "attribute": "red",
        "secret": True,
        "id": "fritz",
        "permissions": ["use"],
        "runtime": "fritz",
        "extra": "by create_run",
    }
    assert thread["metadata"]["belongs_to"] == "fritz"
    row = await place.api.database.fetch_one("SELECT spec -> 'user' AS u FROM runs WHERE run_id = %s", (run["run_id"],))
    assert row is not None
    assert row["u"]["secret"] == "a-token-of-the-users"  # for the next attempt
    for call in (f"/runs/{run['run_id']}", "/runs", "/state", "/history", ""):
        if call != "/runs":
            assert "a-token" not in str(await place.ask("GET", path + call, "fritz")), call
    told = (
        await place.api.http.get(f"{path}/runs/{run['run_id']}/stream?last_event_id=-", headers=as_name("fritz"))
    ).text
    assert "event: checkpoints" in told
    assert "event: debug" in told
    assert "a-token" not in told
    state = await place.ask("GET", f"{path}/state", "fritz")
    assert not [key for key in state["metadata"] if key.startswith("langgraph_auth")]
    assert "a-token" not in place.runner.log.read_text()


async def test_the_next_attempt_knows_the_user_too(place: Authored) -> None:
    run = await place.ask("POST", "/runs", "zoe", RUN)
    await Attempt.begin(place.api.database, run["run_id"])  # and this runner is never heard of again
    await place.executed(run["run_id"], attempt=2)
    thread = await place.ask("GET", f"/threads/{run['thread_id']}", "zoe")
    assert (thread["values"]["seen"]["identity"], thread["values"]["seen"]["secret"]) == ("zoe", True)


async def test_the_simple_endpoints_are_under_it_too(place: Authored) -> None:
    body = {"message": "hi", "assistant_id": "whoami", "thread_id": "chat"}
    started = await place.ask("POST", "/run-task", "gina", body)
    await place.executed(started["run_id"])
    history = await place.ask("GET", "/history/chat", "gina")
    assert [message["content"] for message in history["messages"]] == ["hi", "you are gina"]
    thread = await place.ask("GET", "/threads/chat", "gina")
    assert (thread["metadata"]["belongs_to"], thread["values"]["seen"]["extra"]) == ("gina", "by create_run")
    run = f"/chat/{started['run_id']}"
    assert await place.status("GET", run, "gina") == 200
    assert await place.status("GET", run, "hans") == 404
    assert await place.status("GET", f"/chat/{uuid4()}", "hans") == 404
    assert await place.status("DELETE", f"/runs/{started['run_id']}", "hans") == 404
    assert await place.status("DELETE", f"/runs/{started['run_id']}", "gina") == 409


async def test_a_batch_is_marked_run_by_run(place: Authored) -> None:
    runs = await place.ask("POST", "/runs/batch", "ida", [RUN, {**RUN, "metadata": {"nth": 2}}])
    assert [run["metadata"].get("nth") for run in runs] == [None, 2]
    for run in runs:
        assert run["metadata"]["belongs_to"] == "ida"
        assert (await place.ask("GET", f"/threads/{run['thread_id']}", "ida"))["metadata"]["belongs_to"] == "ida"
    assert await place.status("POST", "/runs/cancel", "jan", {"status": "all"}) == 404
    named = {"thread_id": runs[0]["thread_id"], "run_ids": [runs[0]["run_id"]]}
    assert await place.status("POST", "/runs/cancel", "jan", named) == 404
    assert await place.status("POST", "/runs/cancel", "ida", {"status": "all"}) == 204


async def test_assistants_are_filtered_but_a_graphs_own_may_be_run(place: Authored) -> None:
    made = await place.ask("POST", "/assistants", "karl", {"graph_id": "whoami"})
    assert made["metadata"] == {"belongs_to": "karl"}
    path = f"/assistants/{made['assistant_id']}"
    assert [await place.status("GET", path, name) for name in ("karl", "lena")] == [200, 404]
    assert len(await place.ask("POST", "/assistants/search", "karl", {})) == 1
    assert await place.ask("POST", "/assistants/count", "lena", {}) == 0
    assert await place.status("GET", "/assistants/whoami", "karl") == 422
    assert await place.status("POST", "/runs", "lena", {**RUN, "assistant_id": made["assistant_id"]}) == 404
    assert await place.status("POST", "/runs", "lena", RUN) == 200
    assert await place.status("POST", "/runs", "karl", {**RUN, "assistant_id": made["assistant_id"]}) == 200
    threads = await place.ask("POST", "/threads/search", "karl", {})
    await place.ask("DELETE", f"{path}?delete_threads=true", "karl")
    assert (len(threads), await place.ask("POST", "/threads/search", "karl", {})) == (1, [])


async def test_a_handler_moves_what_is_stored(place: Authored) -> None:
    item = {"namespace": ["notes"], "key": "k", "value": {"of": "mona"}}
    await place.ask("PUT", "/store/items", "mona", item)
    for query in ("namespace=notes&key=k", "namespace=mona.notes&key=k"):
        found = await place.ask("GET", f"/store/items?{query}", "mona")
        assert (found["namespace"], found["value"]) == (["mona", "notes"], {"of": "mona"})
        assert await place.ask("GET", f"/store/items?{query}", "nora") is None
    for name, count in (("mona", 1), ("nora", 0)):
        found = await place.ask("POST", "/store/items/search", name, {"namespace_prefix": []})
        assert len(found["items"]) == count
        listed = await place.ask("POST", "/store/namespaces", name, {"limit": 5})
        assert listed["namespaces"] == [["mona", "notes"]] * count
    await place.ask("DELETE", "/store/items", "nora", {"namespace": ["mona", "notes"], "key": "k"})
    assert await place.ask("GET", "/store/items?namespace=notes&key=k", "mona") is not None
    await place.ask("DELETE", "/store/items", "mona", {"namespace": ["notes"], "key": "k"})
    assert await place.ask("GET", "/store/items?namespace=notes&key=k", "mona") is None


async def test_a_cron_fires_for_who_made_it_and_handlers_are_asked_each_time(place: Authored) -> None:
    body = {**RUN, "schedule": "@yearly", "on_run_completed": "keep"}
    cron = await place.ask("POST", "/runs/crons", "otto", body)
    assert cron["metadata"] == {"belongs_to": "otto"}
    path = f"/runs/crons/{cron['cron_id']}"
    assert [await place.status("GET", path, name) for name in ("otto", "paul")] == [200, 404]
    assert await place.ask("POST", "/runs/crons/count", "paul", {}) == 0
    due = "UPDATE crons SET next_run_at = now() - interval '1s' WHERE cron_id = %s"
    await place.api.database.execute(due, (UUID(cron["cron_id"]),))
    await timer_of(place.api).once()
    fired = await place.ask("GET", path, "otto")
    assert fired["refusal"] is None
    await place.executed(fired["last_run_id"])
    [thread] = await place.ask("POST", "/threads/search", "otto", {})
    assert thread["values"]["seen"]["identity"] == "otto"
    left = "UPDATE crons SET made_by = jsonb_set(made_by, '{team}', '\"blue\"') WHERE cron_id = %s"
    for query in (left, due):
        await place.api.database.execute(query, (UUID(cron["cron_id"]),))
    await timer_of(place.api).once()
    after = await place.ask("GET", path, "otto")
    assert (after["refusal"], after["last_run_id"]) == ("not of the team", fired["last_run_id"])


async def test_each_command_on_a_websocket_is_asked_about(place: Authored) -> None:
    thread = (await place.ask("POST", "/threads", "vera", {"metadata": {"shared_with": ["will"]}}))["thread_id"]
    start = {"assistant_id": "whoami", "input": {"messages": "hi"}, "metadata": {"kind": "spoken"}}
    async with connected(place.api, thread, additional_headers=as_name("will")) as talk:
        assert (await talk.ask("state.get"))["type"] == "success"
        assert (await talk.ask("run.start", start))["error"] == "no_such_run"
    async with connected(place.api, thread, additional_headers=as_name("vera")) as talk:
        run_id = (await talk.ask("run.start", start))["result"]["run_id"]
    run = await place.ask("GET", f"/threads/{thread}/runs/{run_id}", "vera")
    assert run["metadata"]["kind"] == "spoken"
    assert run["metadata"]["belongs_to"] == "vera"
    for name, status in (("xena", 404), ("mallory", 403), ("vera teapot", 418)):
        with pytest.raises(InvalidStatus) as refused:
            async with connected(place.api, thread, additional_headers=as_name(name)):
                pass
        assert refused.value.response.status_code == status
    async with connected(place.api, str(uuid4()), subprotocols=[Subprotocol("relayrun.bearer.vera")]) as talk:
        assert (await talk.ask("run.start", start))["type"] == "success"


async def test_what_is_wrong_with_a_body_is_said_before_handlers_see_it(place: Authored) -> None:
    for path, body in (
        ("/threads", {"metadata": 5}),
        ("/threads/search", {"metadata": []}),
        ("/runs", {"assistant_id": "whoami", "metadata": "x"}),
        ("/runs/batch", [5]),
        ("/store/items/search", {"namespace_prefix": 7}),
    ):
        answer = await place.api.http.post(path, json=body, headers=ALICE)
        assert answer.status_code == 422, path
        assert answer.json()["errors"]
    odd = await place.api.http.post("/threads", content=b"{", headers={**ALICE, "content-type": "application/json"})
    assert odd.status_code == 422
    deep: Any = {}
    for _ in range(150):
        deep = {"a": deep}
    assert await place.status("POST", "/threads", "alice", {"metadata": deep}) == 200
    for params in ({"config": 5}, {"config": {"configurable": "x"}}, {"metadata": []}, {"assistant_id": {}}):
        command = {"id": 1, "method": "run.start", "params": params}
        answer = await place.api.http.post(f"/threads/{uuid4()}/commands", json=command, headers=ALICE)
        assert answer.json()["error"] == "invalid_argument"


async def test_a_large_body_is_read_only_once_it_is_known_whose_it_is(place: Authored) -> None:
    body = {"metadata": {"text": "x" * 100_000}}
    assert await place.status("POST", "/threads", "quin", body) == 200
    port = int(place.api.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /threads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
    writer.write(head.encode())
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    writer.close()
    await writer.wait_closed()


async def test_keys_of_the_installation_are_let_in_beside_it(place: Authored) -> None:
    key, _ = await create_key(place.api.database, "operator", admin=True, lifetime=timedelta(hours=1))
    things = await things_of(place.api, ALICE)
    for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
        assert (await place.api.http.get(f"/threads/{things.thread}", headers=headers)).status_code == 200
    wrong = {"authorization": f"Bearer {key[:-1]}0" if key[-1] != "0" else f"Bearer {key[:-1]}1"}
    assert (await place.api.http.get(f"/threads/{things.thread}", headers=wrong)).status_code == 401


async def test_an_idempotency_key_repeats_what_handlers_change(place: Authored) -> None:
    headers = {**as_name("rosa"), "Idempotency-Key": "once"}
    first, second = [await place.api.http.post("/runs", json=RUN, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["run_id"] == second.json()["run_id"]


async def test_handlers_are_asked_about_what_an_a2a_call_does(place: Authored) -> None:
    async def call(name: str, method: str, **params: Any) -> httpx.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await place.api.http.post("/a2a/whoami", json=body, headers=as_name(name))

    message = {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"data": {"messages": "hi"}}]}
    sent = await call("alice", "SendMessage", message=message, configuration={"returnImmediately": True})
    task = sent.json()["result"]["task"]
    await place.executed(task["id"])
    run = (await place.ask("GET", f"/threads/{task['contextId']}/runs", "alice"))[0]
    assert run["metadata"]["belongs_to"] == "alice"
    assert run["kwargs"]["config"]["configurable"]["extra"] == "by create_run"
    assert (await call("alice", "GetTask", id=task["id"])).json()["result"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert [one["id"] for one in (await call("alice", "ListTasks")).json()["result"]["tasks"]] == [task["id"]]
    assert (await call("bob", "GetTask", id=task["id"])).json()["error"]["code"] == -32001
    assert (await call("bob", "ListTasks")).json()["result"]["tasks"] == []
    theirs = {**message, "messageId": str(uuid4()), "contextId": task["contextId"]}
    assert (await call("bob", "SendMessage", message=theirs)).json()["error"]["code"] == -32602
    for method in ("GetTask", "CancelTask", "SubscribeToTask"):
        assert (await call("mallory", method, id=task["id"])).status_code == 200  # it is not there for her
    assert (await call("eve", "ListTasks")).status_code == 403


async def test_a_call_of_a_tool_asks_the_handlers_as_any_run_does(place: Authored) -> None:
    headers = {"accept": "application/json", "mcp-protocol-version": "2025-11-25"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}}
    assert (await place.api.http.post("/mcp", json=body, headers=headers)).status_code == 401
    streaming = {**headers, "accept": "application/json, text/event-stream", **as_name("ann")}
    async with place.api.http.stream("POST", "/mcp", json=body, headers=streaming) as answer:
        assert answer.status_code == 200
        _, _, thread_id, _, run_id = answer.headers["content-location"].split("/")
    query = "SELECT owner, spec -> 'metadata' ->> 'belongs_to' AS marked, spec -> 'config' AS config FROM runs"
    [run] = await place.api.database.fetch_all(f"{query} WHERE run_id = %s", (run_id,))
    assert (run["owner"], run["marked"]) == ("ann", "ann")
    assert run["config"]["configurable"]["extra"] == "by create_run"
    going_on = {**headers, "accept": "text/event-stream", "last-event-id": f"{run_id}.0--1"}
    async with place.api.http.stream("GET", "/mcp", headers={**going_on, **as_name("mallory")}) as theirs:
        assert theirs.status_code in (403, 404), thread_id
