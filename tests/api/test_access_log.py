"""The access log and the audit trail say who asked for what, and hold no credential and nothing that people wrote."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import APIRoute

from relayrun_api.auth import GuardedRoute
from relayrun_api.http.access_log import AccessLog, without_credentials
from relayrun_api.settings import ApiSettings
from relayrun_api.system.audit import audit_keys
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.keys import create_key, revoke_key
from relayrun_core.logs import JsonFormatter
from tests.api.access import HS256, SECRET, as_admin, as_user, token
from tests.api.conftest import Api, opened
from tests.support.postgres import fresh_database
from tests.support.waiting import until

ADMIN, ALICE = as_admin(), as_user("alice")
WRITTEN = "what-somebody-wrote"


class Trail(logging.Handler):
    """What is logged, as it stands in a pod's log."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def told(self, logger: str) -> list[dict[str, Any]]:
        return [entry for entry in map(json.loads, self.lines) if entry["logger"] == f"relayrun.{logger}"]


@pytest.fixture
def trail() -> Iterator[Trail]:
    trail = Trail()
    loggers = [logging.getLogger(f"relayrun.{name}") for name in ("access", "audit")]
    for logger in loggers:
        logger.addHandler(trail)
    yield trail
    for logger in loggers:
        logger.removeHandler(trail)


@pytest.fixture(scope="module")
async def logged(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    """An API that logs both."""
    async with fresh_database(postgres) as url:
        settings = ApiSettings(database_url=url, **{**HS256, "auth": "jwt,api-key"}, log_format="json")
        async with opened(settings) as api:
            yield api


def test_they_are_there_where_the_log_is_json_and_as_one_says() -> None:
    usual, in_pods = ApiSettings(auth="none"), ApiSettings(auth="none", log_format="json")
    assert (usual.logs_access, usual.logs_audit) == (False, False)
    assert (in_pods.logs_access, in_pods.logs_audit) == (True, True)
    said = ApiSettings(auth="none", log_format="json", access_log=False, audit_log=False)
    assert (said.logs_access, said.logs_audit) == (False, False)


async def test_a_line_says_who_asked_for_what_and_how_it_went(logged: Api, trail: Trail) -> None:
    thread = (await logged.http.post("/threads", json={}, headers=ALICE)).json()["thread_id"]
    run = await logged.http.post(
        f"/threads/{thread}/runs?x={WRITTEN}",
        json={"assistant_id": "talk", "input": {}},
        headers={**ALICE, "X-Request-ID": "r1"},
    )
    path = f"/threads/{thread}/runs/{run.json()['run_id']}"
    assert (await logged.http.post(f"{path}/cancel", headers=ADMIN)).status_code == 202
    assert (await logged.http.get(path)).status_code == 401
    assert (await logged.http.get("/nowhere", headers=ALICE)).status_code == 404
    for probe in ("/healthz", "/readyz", "/metrics", "/ok"):
        await logged.http.get(probe)

    await until(lambda: len(trail.told("access")) == 5)
    lines = trail.told("access")
    assert [(line["method"], line["route"], line["status"], line.get("user")) for line in lines] == [
        ("POST", "/threads", 200, "alice"),
        ("POST", "/threads/{thread_id}/runs", 200, "alice"),
        ("POST", "/threads/{thread_id}/runs/{run_id}/cancel", 202, "root"),
        ("GET", "/threads/{thread_id}/runs/{run_id}", 401, None),
        ("GET", "unknown", 404, None),
    ]
    assert lines[1] | {"ms": 0, "time": ""} == {
        "time": "",
        "level": "info",
        "logger": "relayrun.access",
        "message": "POST /threads/{thread_id}/runs 200",
        "method": "POST",
        "route": "/threads/{thread_id}/runs",
        "path": f"/threads/{thread}/runs",
        "status": 200,
        "user": "alice",
        "request": "r1",
        "ms": 0,
        "bytes": len(run.content),
    }
    [cancelled] = trail.told("audit")
    assert (cancelled["action"], cancelled["user"], cancelled["admin"]) == ("cancel_run", "root", True)
    assert (cancelled["owners"], cancelled["things"]["thread_id"]) == (["alice"], thread)


async def test_an_admins_reads_and_everybodys_deletions_are_audited(logged: Api, trail: Trail) -> None:
    thread = (await logged.http.post("/threads", json={}, headers=ALICE)).json()["thread_id"]
    await logged.http.get(f"/threads/{thread}", headers=ALICE)
    await logged.http.get(f"/threads/{thread}", headers=ADMIN)
    await logged.http.post("/threads/search", json={}, headers=ADMIN)
    await logged.http.delete(f"/threads/{thread}", headers=ALICE)
    await until(lambda: len(trail.told("audit")) == 3)
    assert [(line["action"], line["user"], line["owners"]) for line in trail.told("audit")] == [
        ("get_thread", "root", ["alice"]),
        ("search_threads", "root", []),
        ("delete_thread", "alice", ["alice"]),
    ]


async def test_no_route_logs_a_credential_or_what_was_written(logged: Api, trail: Trail) -> None:
    key, _ = await create_key(logged.database, "alice", admin=True)
    jwt = token("root", roles=["relayrun-admin"])
    body = dict.fromkeys(("input", "message", "metadata", "values", "key", "value", "query", "namespace"), WRITTEN)
    routes = [route for route in logged.app.routes if isinstance(route, APIRoute)]
    assert sum(isinstance(route, GuardedRoute) for route in routes) > 50
    async with httpx.AsyncClient(base_url=logged.url, timeout=30) as client:
        for route in routes:
            path = re.sub(r"\{\w+(:path)?\}", key if len(route.path) % 2 else jwt, route.path)
            for method in route.methods or ():
                headers = {"Authorization": f"Bearer {jwt}"} if len(method) % 2 else {"X-Api-Key": key}
                query = {"token": key, "q": WRITTEN, "last_event_id": WRITTEN, "namespace": WRITTEN}
                sent = {} if method == "GET" else {"json": body}
                async with client.stream(method, path, params=query, headers=headers, **sent):
                    pass  # a stream that goes on is cut off
    guarded = {route.path for route in routes if isinstance(route, GuardedRoute)}
    await until(lambda: guarded <= {line["route"] for line in trail.told("access")})
    shown = "\n".join(trail.lines)
    for secret in (key, jwt, SECRET, WRITTEN, jwt.split(".")[2]):
        assert secret not in shown


async def test_keys_are_told_of_once_whoever_makes_and_revokes_them(
    logged: Api, trail: Trail, database: Database
) -> None:
    await audit_keys(database)
    text, key = await create_key(database, "bob", admin=True, lifetime=timedelta(days=1))
    await revoke_key(database, key.key_id)
    await database.execute(
        "UPDATE api_keys SET created_at = created_at - interval '1 minute', revoked_at = now() - interval '30 seconds'"
    )
    await database.execute("UPDATE tidied SET finished_at = now() - interval '1 hour' WHERE rows_of = 'api_keys'")
    await audit_keys(database)
    await audit_keys(database)
    told = [(line["action"], line["key"], line["owner"], line["admin"]) for line in trail.told("audit")]
    assert told == [("key_created", key.key_id, "bob", True), ("key_revoked", key.key_id, "bob", True)]
    assert text not in "\n".join(trail.lines)


async def test_the_settings_at_the_start_are_told_without_secrets(database_url: str, trail: Trail) -> None:
    async with opened(ApiSettings(database_url=database_url, **HS256, log_format="json")):
        [started] = trail.told("audit")
    assert started["settings"]["jwt_admin_claim"] == "roles"
    assert SECRET not in trail.lines[0]


def test_what_looks_like_a_credential_is_left_out_of_paths() -> None:
    key = "relayrun_" + uuid4().hex * 2
    assert without_credentials(f"/a/{key}/b/{token()}") == "/a/…/b/…"
    assert without_credentials("/threads/relayrun_demo/runs") == "/threads/relayrun_demo/runs"
    assert len(without_credentials("/x" * 1000)) == 300


async def test_a_client_that_leaves_and_a_socket_have_lines_too(trail: Trail) -> None:
    async def leaves(*_: Any) -> None:
        raise ConnectionError("the client has gone")

    async def socket(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "four"})
        await send({"type": "websocket.close"})

    async def nothing(*_: Any) -> Any:
        return None

    with pytest.raises(ConnectionError):
        await AccessLog(leaves, access=True, audit=False)(
            {"type": "http", "method": "GET", "path": "/a"}, nothing, nothing
        )
    await AccessLog(socket, access=True, audit=False)({"type": "websocket", "path": "/b"}, nothing, nothing)
    assert [(line["method"], line["status"], line["bytes"]) for line in trail.told("access")] == [
        ("GET", 499, 0),
        ("WEBSOCKET", 101, 4),
    ]
