"""`mount_prefix` and `disable`: what is at which path, and what is nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph_sdk import get_client

from relayrun_api.app import create_app
from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from tests.api.conftest import Api, opened
from tests.support.postgres import fresh_database

ISSUED: dict[str, Any] = {
    "auth": "jwt",
    "jwt_jwks_url": "https://issuer.example/keys",
    "jwt_issuer": "https://issuer.example",
    "jwt_audience": "relayrun",
}


@pytest.fixture(scope="module")
async def mounted(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    async with fresh_database(postgres) as url:
        settings = ApiSettings(database_url=url, auth="none", mount_prefix="/agents/v1", disable=["store", "webhooks"])
        async with opened(settings) as api:
            yield api


async def test_all_paths_have_the_prefix_and_probes_have_none(mounted: Api) -> None:
    for path in (
        "/info",
        "/docs",
        "/openapi.json",
        "/console/config.json",
        "/relayrun/console/config.json",
        "/ok",
        "/assistants/talk",
    ):
        assert (await mounted.http.get(f"/agents/v1{path}")).status_code == 200, path
    for path in ("/info", "/docs", "/assistants/talk", "/agents/v10/info", "/agents"):
        refused = await mounted.http.get(path)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found"), path
        assert "/agents/v1" in refused.json()["detail"]
    for path in ("/ok", "/healthz", "/readyz", "/metrics"):
        assert (await mounted.http.get(path)).status_code == 200, path
    document = (await mounted.http.get("/agents/v1/openapi.json")).json()
    assert document["servers"] == [{"url": "/agents/v1"}]


async def test_answers_lead_to_paths_with_the_prefix(mounted: Api) -> None:
    client = get_client(url=f"{mounted.url}/agents/v1", api_key=None)
    try:
        thread = await client.threads.create()
        run = await client.runs.create(thread["thread_id"], "talk", input={"messages": []})
        assert (await client.runs.get(thread["thread_id"], run["run_id"]))["status"] == "pending"
    finally:
        await client.aclose()
    task = await mounted.http.post("/agents/v1/run-task", json={"message": "hi", "assistant_id": "talk"})
    assert task.headers["location"].startswith("/agents/v1/chat/")
    assert task.headers["content-location"].startswith("/agents/v1/threads/")
    refused = await mounted.http.delete("/agents/v1/mcp")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
    assert '"/run-task"' in (await mounted.http.get("/metrics")).text, "who measures it knows the route"


async def test_what_is_switched_off_is_not_there(mounted: Api) -> None:
    assert (await mounted.http.get("/agents/v1/store/items")).status_code == 404
    run = {"assistant_id": "talk", "input": {}, "webhook": "https://example.com"}
    refused = await mounted.http.post("/agents/v1/runs", json=run)
    assert refused.status_code == 422
    assert "turned off" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("part", "gone", "there"),
    [
        ("mcp", "/mcp", "/a2a/{assistant_id}"),
        ("a2a", "/a2a/{assistant_id}", "/mcp"),
        ("assistants", "/assistants/search", "/threads"),
        ("threads", "/threads/{thread_id}/state", "/threads/{thread_id}/runs"),
        ("runs", "/threads/{thread_id}/runs", "/threads/{thread_id}/state"),
        ("meta", "/info", "/readyz"),
        ("meta", "/openapi.json", "/ok"),
    ],
)
def test_each_part_can_be_switched_off(part: Any, gone: str, there: str) -> None:
    app = create_app(ApiSettings(database_url="postgresql://nowhere", auth="none", disable=[part]))
    paths = {getattr(route, "path", None) for route in app.routes}
    assert gone not in paths
    assert there in paths


async def test_who_has_no_token_is_told_where_to_get_one(postgres: EmbeddedPostgres) -> None:
    async with fresh_database(postgres) as url:
        settings = ApiSettings(database_url=url, mount_prefix="/agents", **ISSUED)
        async with opened(settings) as api:
            refused = await api.http.post("/agents/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
            assert refused.status_code == 401
            where = f"{api.url}/.well-known/oauth-protected-resource/agents/mcp"
            assert f'resource_metadata="{where}"' in refused.headers["www-authenticate"]
            known = (await api.http.get(where)).raise_for_status().json()
            other = await api.http.get("/agents/threads/x", headers={"authorization": "Bearer wrong"})
    assert known["resource"] == f"{api.url}/agents/mcp"
    assert known["authorization_servers"] == ["https://issuer.example"]
    assert "resource_metadata" not in other.headers["www-authenticate"]
