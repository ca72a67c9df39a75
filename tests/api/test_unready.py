"""Before the database answers, or before its migrations have run, the API says so, and it serves when they have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.migrate import migrate
from tests.api.conftest import serving
from tests.api.play import Attempt
from tests.support.postgres import fresh_database, scratch_folder
from tests.support.runner import free_port
from tests.support.waiting import until_it_is

AWAY = "The database does not answer: try again in a moment."


@asynccontextmanager
async def api(database_url: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = ApiSettings(database_url=database_url, auth="none", runners_file=folder / "runners.json")
    async with asyncio.timeout(60), serving(settings) as (_, _, url), httpx.AsyncClient(base_url=url) as http:
        http.timeout = httpx.Timeout(30)
        yield http


async def refuses(http: httpx.AsyncClient, path: str, *, method: str = "GET") -> str:
    """Why; with all that a client needs to try again."""
    answer = await http.request(method, path, json={} if method == "POST" else None)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    return str(answer.json()["detail"])


async def is_ready(http: httpx.AsyncClient) -> bool:
    with suppress(httpx.TransportError):
        return (await http.get("/readyz")).is_success
    return False


async def test_an_api_lives_while_the_database_is_away_and_says_why_it_serves_nothing(tmp_path: Path) -> None:
    async with api(f"postgresql://x@127.0.0.1:{free_port()}/x", tmp_path) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/openapi.json")).is_success
        assert await refuses(http, "/readyz") == AWAY
        told = await asyncio.gather(*(refuses(http, "/threads", method="POST") for _ in range(20)))
        assert set(told) == {AWAY}
        status = await http.get("/status")
        assert (status.status_code, status.json()["status"]) == (503, "down")
        with pytest.raises(InvalidStatus) as refused:
            await connect(str(http.base_url).replace("http", "ws") + "/threads/x/stream/events")
        assert refused.value.response.status_code == 503


async def test_it_serves_once_the_database_has_started_and_wakes_its_streams(database: Database) -> None:
    given = psycopg.conninfo.conninfo_to_dict(database.url)
    async with scratch_folder("late") as folder:
        socket = folder / "socket"
        url = psycopg.conninfo.make_conninfo(**{**given, "host": str(socket)})
        async with api(url, folder) as http:
            assert await refuses(http, "/threads", method="POST") == AWAY
            socket.symlink_to(str(given["host"]))
            await until_it_is(lambda: is_ready(http))
            run = (await http.post("/runs", json={"assistant_id": "talk", "input": {}})).raise_for_status().json()
            path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/join"
            joining = asyncio.create_task(http.get(path))
            await (await Attempt.begin(database, run["run_id"])).succeed({"messages": []})
            assert (await joining).json() == {"messages": []}


async def test_a_full_disk_is_told_and_all_goes_on_once_there_is_room(database: Database, tmp_path: Path) -> None:
    function = """
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$
    """
    trigger = "CREATE TRIGGER full_disk BEFORE INSERT ON threads FOR EACH ROW EXECUTE FUNCTION full_disk()"
    async with api(database.url, tmp_path) as http:
        await until_it_is(lambda: is_ready(http))
        before = (await http.post("/threads", json={})).json()["thread_id"]
        await database.execute(function)
        await database.execute(trigger)
        detail = "The database's disk is full, so nothing can be saved: try again once there is room."
        assert await refuses(http, "/threads", method="POST") == detail
        assert (await http.get(f"/threads/{before}")).is_success
        assert await is_ready(http)

        async def is_shown() -> bool:
            assert not (await http.post("/threads", json={})).is_success
            check = (await http.get("/status")).json()["checks"]["database"]
            return (check["status"], check.get("reason")) == ("degraded", "its disk is full, so it can save nothing")

        await until_it_is(is_shown)
        await database.execute("DROP TRIGGER full_disk ON threads")
        assert (await http.post("/threads", json={})).is_success


async def test_a_database_without_this_version_s_tables_is_told_until_they_are_there(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with fresh_database(postgres, template="template1") as url, api(url, tmp_path) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        for path in ("/readyz", "/threads/x", "/metrics", "/assistants/x"):
            assert "run the migrations first" in await refuses(http, path), path
        status = await http.get("/status")
        assert status.status_code == 503
        assert "run the migrations first" in status.json()["checks"]["database"]["reason"]
        await migrate(url)
        await until_it_is(lambda: is_ready(http))
        assert (await http.post("/threads", json={})).is_success
