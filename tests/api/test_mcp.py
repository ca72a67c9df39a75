"""The Model Context Protocol on the wire, with a played runner: whose tools and runs there are, and how an answer that
was cut off goes on at another replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.runs import PendingInterrupt
from tests.api.access import HS256, as_user
from tests.api.conftest import Api, opened
from tests.api.play import Attempt, ai
from tests.api.process import ApiProcess
from tests.support.postgres import fresh_database
from tests.support.waiting import until_it_is

ALICE, BOB = as_user("alice"), as_user("bob")
QUESTION = PendingInterrupt("a" * 32, "ok?", "task-1")
ACCEPT = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}


@pytest.fixture(scope="module")
async def guarded(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    async with fresh_database(postgres) as url, opened(ApiSettings(database_url=url, **HS256)) as api:
        yield api


def message(method: str, params: dict[str, Any] | None = None, request_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}


def a_call(name: str = "talk", **more: Any) -> dict[str, Any]:
    return message("tools/call", {"name": name, "arguments": {"messages": []}, **more}, 7)


async def send(api: Api, body: Any, headers: dict[str, str]) -> httpx.Response:
    return await api.http.post("/mcp", json=body, headers={**ACCEPT, **headers})


async def events_of(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Ids and messages, as they come; nothing for an event that is empty."""
    found: dict[str, str] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            found[name] = value
        elif "data" in found:
            yield found["id"], orjson.loads(found["data"]) if found["data"] else None
            found = {}


async def run_at(database: Database, owner: str | None = None) -> str:
    """The run that was accepted last, once there is one."""
    query = "SELECT run_id FROM runs WHERE owner IS NOT DISTINCT FROM %s ORDER BY seq DESC LIMIT 1"
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = await database.fetch_all(query, (owner,))
        return bool(found)

    await until_it_is(there)
    return str(found[0]["run_id"])


async def test_each_owner_has_tools_of_its_own(guarded: Api) -> None:
    made = await guarded.http.post("/assistants", json={"graph_id": "talk", "name": "Secret!"}, headers=ALICE)
    assistant = made.raise_for_status().json()["assistant_id"]
    twin = await guarded.http.post("/assistants", json={"graph_id": "talk", "name": "Secret!"}, headers=ALICE)
    twin_name = f"Secret_{twin.json()['assistant_id'].replace('-', '')[:8]}"
    tools: dict[str, list[str]] = {}
    for name, headers in (("alice", ALICE), ("bob", BOB)):
        listed = (await send(guarded, message("tools/list"), headers)).raise_for_status().json()
        tools[name] = [tool["name"] for tool in listed["result"]["tools"]]
    assert tools["alice"] == ["steps", "talk", "Secret", twin_name, "resume_run"]
    assert tools["bob"] == ["steps", "talk", "resume_run"]
    for called in ("Secret", twin_name, assistant):
        refused = await send(guarded, a_call(called), BOB)
        assert refused.json()["error"]["code"] == -32602
    assert not await guarded.database.fetch_all("SELECT 1 FROM runs WHERE owner = 'bob'", ())


async def test_nobody_goes_on_with_anothers_answer(guarded: Api) -> None:
    async with guarded.http.stream("POST", "/mcp", json=a_call(), headers={**ACCEPT, **ALICE}) as response:
        first, nothing = await anext(events_of(response))
        assert nothing is None
        headers = {**ACCEPT, "last-event-id": first}
        theirs = await guarded.http.get("/mcp", headers={**headers, **BOB})
        assert theirs.status_code == 404
        assert (await guarded.http.get("/mcp", headers=headers)).status_code == 401
    attempt = await Attempt.begin(guarded.database, first.partition(".")[0])
    await attempt.succeed({"messages": [ai("mine", "m1")]})
    own = await guarded.http.get("/mcp", headers={**headers, **ALICE})
    assert '"text":"mine"' in own.text
    assert '"id":7' in own.text


async def test_an_answer_goes_on_at_another_replica(
    database: Database, replicas: tuple[ApiProcess, ApiProcess]
) -> None:
    first, second = replicas
    told: list[Any] = []
    async with httpx.AsyncClient(timeout=60, headers=ACCEPT) as http:
        body = a_call(_meta={"progressToken": "p"})
        async with http.stream("POST", f"{first.url}/mcp", json=body) as response:
            events = events_of(response)
            await anext(events)
            attempt = await Attempt.begin(database, await run_at(database))
            await attempt.tell("updates", {"think": {}})
            last, notification = await anext(events)
            told.append(notification)
            first.process.kill()
            with pytest.raises(httpx.TransportError):
                await anext(events)
        await attempt.tell("custom", {"message": "half way"})
        again = asyncio.create_task(http.get(f"{second.url}/mcp", headers={"last-event-id": last}))
        await attempt.succeed({"messages": [ai("done", "m1")]})
        answer = await again
        place, *rest = [event async for event in events_of(answer)]
        assert place == (last, None), "whoever is cut off again comes back with it"
        told += [event for _, event in rest]
    progress = [event["params"] for event in told[:2]]
    assert progress == [
        {"progressToken": "p", "progress": 1, "message": "think"},
        {"progressToken": "p", "progress": 2, "message": "half way"},
    ]
    assert len(told) == 3
    assert told[2]["id"] == 7
    assert told[2]["result"]["content"] == [{"type": "text", "text": "done"}]
    assert await database.fetch_all("SELECT count(*)::int AS n FROM runs", ()) == [{"n": 1}]


async def test_clients_of_older_versions_get_messages_alone(guarded: Api) -> None:
    headers = {**ACCEPT, **ALICE, "mcp-protocol-version": "2025-06-18"}
    async with guarded.http.stream("POST", "/mcp", json=a_call(), headers=headers) as response:
        run_id = await run_at(guarded.database, "alice")
        await (await Attempt.begin(guarded.database, run_id)).succeed({"messages": [ai("mine", "m1")]})
        [(last, answer)] = [event async for event in events_of(response)]
    assert answer["result"]["content"][0]["text"] == "mine"
    again = await guarded.http.get("/mcp", headers={**headers, "last-event-id": last})
    assert [event async for event in events_of(again)] == [(last, answer)]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        pytest.param(b"{", {}, 400, -32700, id="no JSON"),
        pytest.param(b'{"a": "\\u0000"}', {}, 400, -32700, id="NUL"),
        pytest.param(b"[]", {}, 400, -32600, id="a batch"),
        pytest.param(b"7", {}, 400, -32600, id="a number"),
        pytest.param(b'{"jsonrpc": "2.0", "id": 1}', {}, 400, -32600, id="no method"),
        pytest.param(b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', {}, 400, -32600, id="a wrong id"),
        pytest.param(b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": 1}', {}, 400, -32602, id="wrong params"),
        pytest.param(message("nothing"), {}, 200, -32601, id="an unknown method"),
        pytest.param(message("resources/list"), {}, 200, -32601, id="a method that is not served"),
        pytest.param(message("tools/call", {"name": 5}), {}, 200, -32602, id="no name"),
        pytest.param(message("tools/list", {"cursor": "mine"}), {}, 200, -32602, id="a wrong cursor"),
        pytest.param(a_call("none such"), {}, 200, -32602, id="an unknown tool"),
        pytest.param(message("ping"), {"mcp-protocol-version": "1999-01-01"}, 400, -32022, id="an unknown version"),
        pytest.param(message("ping"), {"mcp-protocol-version": "2026-07-28"}, 400, -32602, id="no envelope"),
        pytest.param(message("ping"), {"accept": "text/html"}, 406, -32600, id="nothing acceptable"),
    ],
)
async def test_bad_messages_are_refused(
    shared: Api, body: Any, headers: dict[str, str], status: int, code: int
) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    sent = {**ACCEPT, "content-type": "application/json", **headers}
    refused = await shared.http.post("/mcp", content=content, headers=sent)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert refused.json()["error"]["message"].endswith(".")


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-28"])
async def test_sessions_of_versions_that_have_none_are_none(shared: Api, version: str) -> None:
    session = {"mcp-session-id": f"{version}.1.{'a' * 32}", "accept": ACCEPT["accept"]}
    for body in (message("ping"), message("tools/list"), a_call()):
        refused = await shared.http.post("/mcp", json=body, headers=session)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, -32600)


async def test_what_http_refuses(shared: Api) -> None:
    huge = await shared.http.post("/mcp", content=b" " * 10_000_001, headers={"content-type": "application/json"})
    assert huge.status_code == 413
    assert (await shared.http.post("/mcp", content=b"{}", headers={"content-type": "text/plain"})).status_code == 415
    foreign = await send(shared, message("ping"), {"origin": "https://evil.example"})
    assert foreign.status_code == 403
    rebound = await send(shared, message("ping"), {"origin": "http://evil.example", "host": "evil.example"})
    assert rebound.status_code == 403
    assert (await send(shared, message("ping"), {"origin": "http://localhost:3000"})).status_code == 200
    nothing = await shared.http.get("/mcp", headers={"accept": "text/event-stream"})
    assert (nothing.status_code, nothing.headers["allow"]) == (405, "POST")
    assert (await shared.http.delete("/mcp")).status_code == 405
    for wrong in ("x", "1-2", "00000000-0000-4000-8000-000000000000.1-9", "00000000-0000-4000-8000-000000000000.x"):
        answer = await shared.http.get("/mcp", headers={**ACCEPT, "last-event-id": wrong})
        assert answer.status_code in (400, 404), wrong


async def begun(api: Api, headers: dict[str, str], **capabilities: Any) -> dict[str, str]:
    """The headers of a new session."""
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "clientInfo": {"name": "test", "version": "1"},
    }
    answer = (await send(api, message("initialize", params), headers)).raise_for_status()
    assert answer.json()["result"]["protocolVersion"] == "2025-11-25"
    return {**ACCEPT, **headers, "mcp-session-id": answer.headers["mcp-session-id"]}


async def status_of(database: Database, run_id: str) -> str:
    [row] = await database.fetch_all("SELECT status FROM runs WHERE run_id = %s", (run_id,))
    return str(row["status"])


async def until_cancelled(database: Database, run_id: str) -> None:
    async def cancelled() -> bool:
        return await status_of(database, run_id) == "cancelled"

    await until_it_is(cancelled)


async def test_a_call_is_cancelled_by_its_owner_and_is_one_however_often_it_is_sent(guarded: Api) -> None:
    session = await begun(guarded, ALICE)
    async with guarded.http.stream("POST", "/mcp", json=a_call(), headers=session) as response:
        run_id = (await anext(events_of(response)))[0].partition(".")[0]
        async with guarded.http.stream("POST", "/mcp", json=a_call(), headers=session) as again:
            assert (await anext(events_of(again)))[0].partition(".")[0] == run_id
        other = {"name": "talk", "arguments": {"messages": [1]}}
        reused = await guarded.http.post("/mcp", json=message("tools/call", other, 7), headers=session)
        assert reused.json()["result"]["_meta"]["relayrun/problem"]["code"] == "idempotency_key_reused"
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        theirs = await guarded.http.post("/mcp", json=cancel, headers={**session, **BOB})
        assert theirs.status_code == 202
        assert await status_of(guarded.database, run_id) == "pending"
        assert (await guarded.http.post("/mcp", json=cancel, headers=session)).status_code == 202
        await until_cancelled(guarded.database, run_id)
    unknown = await guarded.http.post("/mcp", json=a_call(), headers={**session, "mcp-session-id": "mine"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, -32600)


def modern_call(key: str | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        **({"relayrun/idempotency_key": key} if key else {}),
    }
    names = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "talk"}
    return a_call(_meta=meta), {**ACCEPT, **names}


async def test_a_closed_connection_cancels_in_the_newest_version_unless_its_client_comes_back(guarded: Api) -> None:
    body, headers = modern_call()
    async with guarded.http.stream("POST", "/mcp", json=body, headers={**headers, **ALICE}) as response:
        run_id = (await anext(events_of(response)))[0].partition(".")[0]
    await until_cancelled(guarded.database, run_id)

    body, headers = modern_call("mine")
    async with guarded.http.stream("POST", "/mcp", json=body, headers={**headers, **ALICE}) as response:
        kept = (await anext(events_of(response)))[0].partition(".")[0]
    await (await Attempt.begin(guarded.database, kept)).succeed({"messages": [ai("kept", "m1")]})
    again = await guarded.http.post("/mcp", json=body, headers={**headers, **ALICE})
    assert '"text":"kept"' in again.text
    wrong = await guarded.http.post("/mcp", json=body, headers={**headers, **ALICE, "mcp-name": "steps"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, -32020)


@asynccontextmanager
async def a_call_that_asks(api: Api, session: dict[str, str]) -> AsyncIterator[tuple[Any, str, str, Any]]:
    """A call whose run asks: the events behind the question, the run's id, the question's place and the question."""
    async with api.http.stream("POST", "/mcp", json=a_call(), headers=session) as response:
        events = events_of(response)
        run_id = (await anext(events))[0].partition(".")[0]
        await (await Attempt.begin(api.database, run_id)).pause({"messages": []}, QUESTION)
        place, asked = await anext(events)
        assert asked["method"] == "elicitation/create"
        yield events, run_id, place, asked


async def test_a_question_is_asked_once_and_answered_once(guarded: Api) -> None:
    session = await begun(guarded, ALICE, elicitation={})
    async with a_call_that_asks(guarded, session) as (events, run_id, place, asked):
        assert asked["params"]["message"] == "ok?"
        accepted = {"action": "accept", "content": {"answer": "yes"}}
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": accepted}
        assert (await guarded.http.post("/mcp", json=answer, headers={**session, **BOB})).status_code == 404
        for _ in range(2):
            assert (await guarded.http.post("/mcp", json=answer, headers=session)).status_code == 202
        query = "SELECT run_id FROM runs WHERE thread_id = (SELECT thread_id FROM runs WHERE run_id = %s) ORDER BY seq"
        first, second = await guarded.database.fetch_all(query, (run_id,))
        assert str(first["run_id"]) == run_id
        await (await Attempt.begin(guarded.database, second["run_id"])).succeed({"messages": [ai("done", "m1")]})
        _, result = await anext(events)
    assert result["id"] == 7
    assert result["result"]["content"][0]["text"] == "done"
    again = await guarded.http.get("/mcp", headers={**session, "last-event-id": place})
    assert [event async for _, event in events_of(again)] == [None, result], "not asked again"
    nothing = {"jsonrpc": "2.0", "id": "what", "result": accepted}
    assert (await guarded.http.post("/mcp", json=nothing, headers=session)).status_code == 400


async def test_a_cancel_ends_a_call_that_waits_for_an_answer(guarded: Api) -> None:
    session = await begun(guarded, ALICE, elicitation={})
    async with a_call_that_asks(guarded, session) as (events, *_):
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        assert (await guarded.http.post("/mcp", json=cancel, headers=session)).status_code == 202
        [(_, result)] = [event async for event in events]
    assert "resume_run" in result["result"]["content"][0]["text"]


async def test_a_call_counts_as_a_start(database_url: str) -> None:
    async with opened(ApiSettings(database_url=database_url, rate_limit=1, **HS256)) as api:
        body, headers = modern_call("first")
        async with api.http.stream("POST", "/mcp", json=body, headers={**headers, **ALICE}) as response:
            assert response.headers["ratelimit"].startswith('"runs";r=0;')
            await anext(events_of(response))
        body, _ = modern_call("second")
        refused = await api.http.post("/mcp", json=body, headers={**headers, **ALICE})
        assert refused.json()["result"]["isError"]
        assert refused.json()["result"]["_meta"]["relayrun/problem"]["code"] == "rate_limited"
        assert int(refused.headers["retry-after"]) > 0
