"""The console's files, and the routes that exist for it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from relayrun_api import console
from relayrun_api.console import routes
from relayrun_api.settings import ApiSettings
from tests.api.access import HS256, as_user
from tests.api.conftest import Api, opened
from tests.api.test_refusals import check_problem

SCRIPT = "console.log('hello');" * 100


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>Relayrun</title>")
    (static / "assets" / "index-1.js").write_text(SCRIPT)
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(console, "STATIC", static)
    return static


@pytest.mark.usefixtures("built")
async def test_every_address_below_console_is_the_page(shared: Api) -> None:
    for path in ("/console", "/console/", "/console/runs", "/console/threads/a/runs/b?step=3"):
        answer = await shared.http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers["cache-control"] == "no-cache"
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


@pytest.mark.usefixtures("built")
async def test_files_are_compressed_and_kept(shared: Api) -> None:
    routes._read.cache_clear()
    answer = await shared.http.get("/console/assets/index-1.js")
    assert answer.text == SCRIPT
    assert (answer.headers["content-encoding"], answer.headers["content-type"]) == (
        "gzip",
        "text/javascript; charset=utf-8",
    )
    assert "immutable" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) == len(gzip.compress(SCRIPT.encode(), 6))
    plain = await shared.http.get("/console/assets/index-1.js", headers={"Accept-Encoding": "identity"})
    assert (plain.text, plain.headers.get("content-encoding")) == (SCRIPT, None)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("name", ["none.js", "..%2Findex.html", "%2e%2e%2f%2e%2e%2fsecret.txt", "a%00b"])
async def test_nothing_but_files_of_the_build_is_served(shared: Api, name: str) -> None:
    assert (await shared.http.get(f"/console/assets/{name}")).status_code in (200, 404)
    assert "secret" not in (await shared.http.get(f"/console/assets/{name}")).text


async def test_a_console_that_is_not_built_says_how(
    shared: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "STATIC", tmp_path)
    answer = await shared.http.get("/console/runs")
    assert answer.status_code == 503
    assert "make console" in answer.text


async def test_the_page_knows_how_people_sign_in(database_url: str) -> None:
    oidc = {"oidc_issuer": "https://issuer.example/realm", "oidc_client_id": "console"}
    async with opened(ApiSettings(database_url=database_url, **HS256, **oidc)) as api:
        config = (await api.http.get("/console/config.json")).json()
        assert config["auth"] == ["jwt"]
        assert config["oidc"] == {
            "issuer": "https://issuer.example/realm",
            "client_id": "console",
            "scopes": "openid profile",
        }
        policy = (await api.http.get("/console")).headers["content-security-policy"]
        assert "connect-src 'self' https://issuer.example;" in policy
        check_problem(await api.http.get("/agents"), 401, "unauthenticated")
        (agent,) = (await api.http.get("/agents", headers=as_user("alice"))).json()
        assert (agent["agent"], agent["pending"], agent["running"]) == ("default", 0, 0)
        assert [graph["graph"] for graph in agent["graphs"]] == ["steps", "talk"]


async def test_a_console_that_is_switched_off_is_not_there(database_url: str) -> None:
    async with opened(ApiSettings(database_url=database_url, auth="none", console=False)) as api:
        assert (await api.http.get("/console")).status_code == 404
        assert (await api.http.get("/console/config.json")).status_code == 404


def test_an_issuer_without_a_client_is_refused() -> None:
    with pytest.raises(ValueError, match="RELAYRUN_OIDC_CLIENT_ID"):
        ApiSettings(database_url="postgresql://x", auth="none", oidc_issuer="https://issuer.example")
