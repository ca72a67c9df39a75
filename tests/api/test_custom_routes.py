"""An agent's own web app (`http.app`), reached through the API: a real runner serves it, which tests may kill."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from relayrun_api.http.bodies import MAX_BODY_BYTES
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.agents import NewGraph, register_graphs
from relayrun_core.runner_requests import BUILT_IN, CustomHttp
from tests.api.routed import ALICE, Routed, routed
from tests.support.postgres import fresh_database
from tests.support.runner import AGENTS, TOKEN


@pytest.fixture(scope="module")
async def shop(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Routed]:
    """For the many tests that leave the runner alive."""
    async with fresh_database(postgres) as url, routed(url, tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture
async def mortal(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Routed]:
    """With a runner of the test's own, and time for what the test does meanwhile."""
    async with fresh_database(postgres) as url, routed(url, tmp_path, custom_route_seconds=60) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_the_app_sees_the_request_as_it_was_sent(shop: Routed, method: str) -> None:
    path = "/seen/a%2Fb/../%C3%A9%20x?q=1&q=%2F&empty="
    sent = {"X-Mine": "yes", "Cookie": "a=b", "Connection": "X-Hop", "X-Hop": "1", "X-Relayrun-App": "1"}
    request = shop.http.build_request(method, shop.url, headers=sent, content=b"\x00body" if method != "GET" else None)
    request.extensions["target"] = path.encode()
    answer = await shop.http.send(request)
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert seen["method"] == method
    assert seen["url"].startswith(shop.url + "/seen/a/b/../")
    assert (seen["root"], seen["raw"], seen["client"]) == ("", path.partition("?")[0], "127.0.0.1")
    assert seen["query"] == [["q", "1"], ["q", "/"], ["empty", ""]]
    assert seen["body"] == ("" if method == "GET" else "\x00body")
    headers = dict(seen["headers"])
    assert (headers["x-mine"], headers["cookie"]) == ("yes", "a=b")
    assert headers["authorization"] == ALICE["Authorization"]
    assert headers["x-request-id"] == answer.headers["x-request-id"]
    assert not {"x-hop", "connection"} & set(headers)
    assert not any(name.startswith("x-relayrun") for name in headers)
    assert (seen["state"], seen["opened"]) == ("a pool", "here")


async def test_nothing_of_the_installation_is_told_to_the_app_or_the_client(shop: Routed) -> None:
    answer = await shop.get("/seen", **{"X-Relayrun-Request": "forged", "X-Request-Id": "mine"})
    seen = answer.json()
    assert TOKEN not in answer.text
    assert not {"RELAYRUN_TOKEN", "RELAYRUN_DATABASE_URL"} & set(seen["environment"])
    assert "authorized" not in seen["scope"]
    names = [name.decode().lower() for name, _ in answer.headers.raw]
    assert len(names) == len(set(names)), names
    assert not any(name.startswith("x-relayrun") for name in names)
    assert TOKEN not in str(answer.headers)
    assert answer.headers["set-cookie"] == "session=abc"
    assert answer.headers.get("server") != "mine"
    # One user's cookie is not sent for the next.
    shop.http.cookies.clear()
    headers = dict((await shop.get("/seen")).json()["headers"])
    assert "cookie" not in headers


async def test_the_user_is_whom_the_api_found_out(shop: Routed) -> None:
    user = (await shop.get("/seen")).json()["user"]
    assert user == {"identity": "alice", "display_name": "alice", "is_authenticated": True, "permissions": []}


async def test_the_app_is_behind_the_apis_authentication(shop: Routed) -> None:
    async with httpx.AsyncClient(base_url=shop.url) as stranger:
        for path in ("/seen", "/no-such-route", "/agents/shop/seen"):
            answer = await stranger.get(path)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        refused = await stranger.get("/seen", headers={"Authorization": "Bearer wrong"})
        assert refused.status_code == 401
        assert (await stranger.get("/ok")).status_code == 200


async def test_built_in_routes_win_whatever_the_method(shop: Routed) -> None:
    assert (await shop.get("/info")).json()["server"] == "relayrun"
    assert (await shop.http.post("/threads/search", json={})).json() == []
    assert (await shop.http.delete("/info")).status_code == 405


async def test_what_the_app_has_not_is_its_own_404_and_405(shop: Routed) -> None:
    assert ((await shop.get("/nothing")).status_code, (await shop.get("/nothing")).text) == (404, "Not Found")
    assert (await shop.http.post("/ticks")).status_code == 405
    head = await shop.http.head("/seen")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0


async def test_an_agents_app_is_also_below_its_name(shop: Routed) -> None:
    seen = (await shop.get("/agents/shop/seen?x=1")).json()
    assert (seen["root"], seen["url"]) == ("/agents/shop", f"{shop.url}/agents/shop/seen?x=1")
    assert (await shop.get("/agents/another/seen")).status_code == 404


async def test_the_apis_cors_answers_for_the_app(shop: Routed) -> None:
    origin = "http://localhost:3000"
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = await shop.http.options("/seen", headers=asked)
    assert preflight.headers["access-control-allow-origin"] == origin
    answer = await shop.get("/seen", Origin=origin)
    assert answer.headers.get_list("access-control-allow-origin") == [origin]
    foreign = await shop.get("/seen", Origin="https://of-the-app.example")
    assert "access-control-allow-origin" not in foreign.headers


async def test_an_exception_in_a_route_is_500_and_the_runner_lives(shop: Routed) -> None:
    pid = shop.runner.pid
    for path in ("/fails", "/leaves"):
        answer = await shop.get(path)
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert (await shop.get("/seen")).json()["pid"] == pid
    log = shop.runner.log.read_text()
    assert "the app failed at GET /fails" in log
    assert 'RuntimeError("as meant")' in log


@pytest.mark.parametrize("query", ["", "?length"])
async def test_an_answer_that_fails_in_the_middle_is_cut_and_not_ended(shop: Routed, query: str) -> None:
    async with shop.http.stream("GET", f"/halts{query}") as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()


async def test_events_come_as_they_are_made_and_end_when_the_client_leaves(shop: Routed) -> None:
    ended = shop.noted("stream ends")
    async with shop.http.stream("GET", "/ticks") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        told = [line async for line in _first(lines, 6) if line]
        assert told == ["data: 0", "data: 1", "data: 2"]
        assert shop.noted("stream ends") == ended
    await shop.until_noted("stream ends", ended + 1)


async def test_a_large_answer_comes_whole(shop: Routed) -> None:
    assert len((await shop.get("/large?megabytes=20")).content) == 20_000_000


async def test_a_body_may_be_as_large_as_elsewhere_and_no_larger(shop: Routed) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for begin in range(0, size, 1_000_000):
            yield b"x" * min(1_000_000, size - begin)

    whole = await shop.http.post("/count", content=b"x" * MAX_BODY_BYTES)
    assert whole.text == str(MAX_BODY_BYTES)
    assert (await shop.http.post("/count", content=chunks(MAX_BODY_BYTES))).text == str(MAX_BODY_BYTES)
    for content in (b"x" * (MAX_BODY_BYTES + 1), chunks(MAX_BODY_BYTES + 1)):
        try:
            refused = await shop.http.post("/count", content=content)
        except (httpx.WriteError, httpx.RemoteProtocolError):
            continue  # refused before all of it was sent
        assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")


async def test_a_body_that_does_not_come_is_408(shop: Routed) -> None:
    never = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"some"
        await never.wait()

    sending = asyncio.create_task(shop.http.post("/count", content=chunks()))
    host, port = shop.http.base_url.host, shop.http.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    authorization = ALICE["Authorization"]
    head = f"POST /count HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: 9\r\n\r\nsome"
    writer.write(head.encode())
    answer = await reader.readuntil(b"}")
    assert b"HTTP/1.1 408" in answer
    assert b"body_too_slow" in answer
    writer.close()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_route_that_does_not_begin_to_answer_is_504(shop: Routed) -> None:
    async with shop.held("/waits") as asked:
        answer = await asked
        assert (answer.status_code, answer.json()["code"]) == (504, "too_slow")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_route_that_blocks_makes_no_dead_runner(shop: Routed) -> None:
    async with shop.held("/blocks") as asked:
        assert (await asked).status_code == 504
        async with httpx.AsyncClient() as world:
            assert (await world.get(f"{shop.runner.url}/healthz")).status_code == 200
    assert (await shop.get("/seen")).status_code == 200


async def test_a_runner_that_dies_before_it_answers_is_502(mortal: Routed) -> None:
    async with mortal.held("/waits") as asked:
        mortal.runner.kill()
        answer = await asked
    assert (answer.status_code, answer.json()["code"]) == (502, "runner_lost")
    gone = await mortal.get("/seen")
    assert (gone.status_code, gone.json()["code"], gone.headers["retry-after"]) == (503, "no_runner", "1")


async def test_a_stream_is_cut_when_its_runner_dies(mortal: Routed) -> None:
    async with mortal.http.stream("GET", "/ticks") as answer:
        lines = answer.aiter_lines()
        assert [line async for line in _first(lines, 1)] == ["data: 0"]
        mortal.runner.kill()
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in lines:
                pass


async def test_the_lifespan_ends_when_the_runner_drains_and_what_is_under_way_is_cut(mortal: Routed) -> None:
    assert (mortal.noted("started"), mortal.noted("stopped")) == (1, 0)
    async with mortal.held("/waits") as asked, mortal.http.stream("GET", "/ticks") as answer:
        await mortal.until_noted("stream begins")
        mortal.runner.signal(signal.SIGTERM)
        (mortal.folder / "go").touch()
        assert (await asked).text == "went"
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()
        assert await mortal.runner.exit_code() == 0
    assert mortal.noted("stopped") == 1
    assert mortal.noted("stream ends") == 1


async def test_an_agent_may_open_its_routes_to_all(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    written = {"http": {"app": "web:app", "enable_custom_route_auth": False}}
    async with fresh_database(postgres) as url, routed(url, tmp_path, written) as shop, httpx.AsyncClient() as stranger:
        for headers in ({}, {"Authorization": "Bearer somebody else's"}):
            seen = (await stranger.get(f"{shop.url}/seen", headers=headers)).json()
            assert (seen["user"], dict(seen["headers"]).get("authorization")) == (None, headers.get("Authorization"))
        assert (await stranger.post(f"{shop.url}/threads/search", json={})).status_code == 401


async def test_an_authors_own_authentication_guards_the_routes_too(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    written = {"http": {"app": "web:app"}, "auth": {"path": f"{AGENTS}/guarded/auth.py:auth"}}
    async with fresh_database(postgres) as url, routed(url, tmp_path, written, auth="custom") as shop:
        seen = (await shop.get("/seen", Authorization="Bearer bob")).json()
        assert (seen["user"]["identity"], seen["user"]["team"]) == ("bob", "red")
        assert dict(seen["headers"])["authorization"] == "Bearer bob"
        for token, status in (("bob teapot", 418), ("bob broken", 500)):
            assert (await shop.get("/seen", Authorization=f"Bearer {token}")).status_code == status, token
        assert shop.noted("waits") == 0
        refused = await shop.get("/waits", Authorization="Basic bob")
        assert (refused.status_code, shop.noted("waits")) == (401, 0)


async def test_without_an_app_nothing_is_at_other_paths(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    async with fresh_database(postgres) as url, routed(url, tmp_path, {}) as shop, httpx.AsyncClient() as stranger:
        answer = await stranger.get(f"{shop.url}/seen")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        direct = await stranger.get(f"{shop.runner.url}/app", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (direct.status_code, direct.json()["reason"]) == (404, "NoCustomApp")


async def test_the_first_agent_by_name_is_at_the_root_and_each_below_its_name(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with fresh_database(postgres) as url:
        async with Database.open(url, role="runner") as database:
            for agent, app in (("adviser", False), ("bakery", True), ("tailor", True)):
                bread = NewGraph("bread", {}, {}, http=CustomHttp(app=app))
                await register_graphs(database, [bread], agent=agent, build="1")
        async with routed(url, tmp_path) as shop:
            for path, agent in (("/seen", "bakery"), ("/agents/adviser/seen", "bakery"), ("/agents/tailor/", "tailor")):
                away = await shop.get(path)
                assert (away.status_code, away.json()["code"]) == (503, "no_runner")
                assert f"agent '{agent}'" in away.json()["detail"]
            assert (await shop.get("/agents/shop/seen")).status_code == 200


async def test_a_runner_takes_requests_for_the_app_from_the_api_alone(shop: Routed) -> None:
    async with httpx.AsyncClient(base_url=shop.runner.url) as stranger:
        assert (await stranger.get("/app")).status_code == 401
        known = {"Authorization": f"Bearer {TOKEN}"}
        for header in ({}, {"X-Relayrun-Request": "bm90IGpzb24="}):
            answer = await stranger.get("/app", headers={**known, **header})
            assert (answer.status_code, answer.json()["reason"]) == (400, "Invalid")
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws{shop.runner.url.removeprefix('http')}/app", proxy=None):
            pass
    assert refused.value.response.status_code == 401


HEADERS = {"X-Tenant-Name": "acme", "X-Tenant-Secret": "s", "X-Tenant-Id": "1", "X-Other": "o", "User-Agent": "u"}


async def test_headers_that_the_agent_names_become_configurable(shop: Routed) -> None:
    run = {"assistant_id": "echo", "input": {}, "config": {"configurable": {"x-tenant-name": "said", "own": 1}}}
    started = await shop.http.post("/runs", json=run, headers=HEADERS)
    [of_batch] = (await shop.http.post("/runs/batch", json=[run], headers=HEADERS)).json()
    for told in (started.json(), of_batch):
        configurable = told["kwargs"]["config"]["configurable"]
        assert configurable.items() >= {"x-tenant-name": "acme", "own": 1}.items()
        assert not {"x-tenant-secret", "x-tenant-id", "x-other", "user-agent", "authorization"} & set(configurable)
    run_id, thread_id = started.json()["run_id"], started.json()["thread_id"]
    assert (await shop.runner.put(UUID(run_id), 1)).status_code == 202
    ended = await shop.http.get(f"/threads/{thread_id}/runs/{run_id}/join")
    assert ended.json()["told"] == {"x-tenant-name": "acme"}


async def test_the_runner_knows_which_paths_are_the_apis(shop: Routed) -> None:
    document = (await shop.http.get("/openapi.json")).json()
    assert {path.split("/")[1] for path in document["paths"]} - {".well-known"} == BUILT_IN
    log = shop.runner.log.read_text()
    assert "wins over the app's route /threads/search" in log
    assert not any(
        f"wins over the app's route {path}" in log for path in ("/seen", "/console/mine", "/keys", "/agents")
    )


async def test_paths_that_the_agent_server_does_not_have_are_the_apps(shop: Routed) -> None:
    for path in ("/console/mine", "/keys", "/agents"):
        answer = await shop.get(path)
        assert (answer.status_code, answer.text) == (200, "the app's own")
    # All of a path is the app's, so that its own 404 is the answer.
    assert (await shop.get("/console")).text == (await shop.get("/console/runs")).text == "Not Found"
    assert (await shop.http.post("/keys", json={})).text == "the app's own"


async def test_relayruns_own_are_below_its_name_in_any_case(shop: Routed) -> None:
    [agent] = (await shop.get("/relayrun/agents")).json()
    assert agent["agent"] == "shop"
    # Of admins alone.
    for path in ("/relayrun/keys", "/relayrun/revisions/shop", "/revisions/shop"):
        assert (await shop.get(path)).status_code == 403
    config = (await shop.get("/relayrun/console/config.json")).json()
    assert config["auth"] == ["jwt"]
    # Nothing else is there, and nobody gets around who may ask.
    shop.http.headers.pop("Authorization")
    try:
        assert (await shop.get("/relayrun/agents")).status_code == 401
    finally:
        shop.http.headers.update(ALICE)
    assert (await shop.get("/relayrun/threads/search")).text == "Not Found"


async def _first(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    for _ in range(count):
        yield await anext(lines)
