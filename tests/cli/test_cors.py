"""Which web pages may call the API of `relayrun dev`: its own origins, those of flags, and `http.cors`."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from relayrun_api.http.cors import Cors
from relayrun_api.settings import ApiSettings
from relayrun_cli.dev.options import DevOptions
from relayrun_cli.dev.processes import api_environment
from relayrun_runner.config.load import load_config

CORS = {
    "allow_origins": ["https://shop.example"],
    "allow_origin_regex": r"https://.*\.preview\.example",
    "expose_headers": ["X-Mine"],
    "max_age": 10**9,
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ApiSettings:
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, "http": {"cors": CORS}}))
    options = DevOptions(file, cors_origins=("https://flag.example",))
    environment = api_environment(options, 1, load_config(file).http)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return ApiSettings()


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("http://127.0.0.1:5173", True),
        ("https://flag.example", True),
        ("https://shop.example", True),
        ("https://one.preview.example", True),
        ("https://one.preview.example.evil.example", False),
        ("https://evil.example", False),
    ],
)
async def test_these_origins_may_call(settings: ApiSettings, origin: str, allowed: bool) -> None:
    app = Starlette(middleware=[Middleware(Cors, settings=settings)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        answer = await client.get("/", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert "X-Mine" in answer.headers["access-control-expose-headers"]
        asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "X-Any"}
        preflight = await client.options("/", headers=asked)
        assert preflight.status_code == (200 if allowed else 400)
        assert preflight.headers["access-control-max-age"] == "86400"


def test_an_origin_pattern_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAYRUN_AUTH", "none")
    monkeypatch.setenv("RELAYRUN_CORS_ORIGIN_REGEX", "(")
    with pytest.raises(ValueError, match="valid regular expression"):
        ApiSettings()


def test_what_is_not_served_and_the_prefix_are_the_apis_settings(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    http = {"mount_prefix": "/agents/", "disable_mcp": True, "disable_store": True, "disable_a2a": False}
    file.write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, "http": http}))
    config = load_config(file)
    environment = api_environment(DevOptions(file), 1, config.http)
    settings = ApiSettings.model_validate(
        {
            "disable": json.loads(environment["RELAYRUN_DISABLE"]),
            "mount_prefix": environment["RELAYRUN_MOUNT_PREFIX"],
            "auth": "none",
        }
    )
    assert (settings.disable, settings.mount_prefix) == (["mcp", "store"], "/agents")
    assert not config.warnings
