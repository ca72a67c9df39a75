"""The author's own web app in a runner: loaded, started, stopped; what fails says why and hurts nothing else."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from relayrun_core.runner_requests import ProxiedRequest, from_headers, to_headers
from relayrun_runner.config.load import load_config
from relayrun_runner.custom_app.app import CustomApp
from relayrun_runner.custom_app.asgi import scope_of
from relayrun_runner.custom_app.paths import custom_http_of
from relayrun_runner.errors import ConfigError, NotReady


def written(folder: Path, code: str, **http: Any) -> Path:
    (folder / "web_of_a_test.py").write_text(code)
    file = folder / "langgraph.json"
    http = {"app": "./web_of_a_test.py:app", **http}
    file.write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, "http": http}))
    return file


def loaded(folder: Path, code: str, **http: Any) -> CustomApp:
    app = CustomApp.load(load_config(written(folder, code, **http)))
    assert app is not None
    return app


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import no_such_module_at_all", "did not load: ModuleNotFoundError"),
        ("raise SystemExit(3)", "did not load: SystemExit: 3"),
        ("raise KeyboardInterrupt", "did not load: KeyboardInterrupt"),
        ("class Odd(BaseException): ...\nraise Odd('x')", "did not load: Odd: x"),
        ("import asyncio\nraise asyncio.CancelledError", "did not load: CancelledError"),
        ("other = 1", "did not load: .* has no 'app'; it has other"),
        ("app = 1", "it is int, not an ASGI app"),
        ("class app: pass", "it is app, not an ASGI app"),
    ],
)
async def test_an_app_that_does_not_load_says_why(tmp_path: Path, code: str, sentence: str) -> None:
    app = loaded(tmp_path, code)
    assert app.failure is not None
    assert app.failure.message.startswith("./web_of_a_test.py:app did not load: ")
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(app.failure.message)
    assert (app.failure.traceback is None) == ("it is" in sentence or "has no" in sentence)
    async with app.running():
        with pytest.raises(NotReady):
            await app.serve({}, _never, _never)


async def test_an_app_that_does_not_start_says_why(tmp_path: Path) -> None:
    code = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette

@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no database")
    yield

app = Starlette(lifespan=lifespan)
"""
    app = loaded(tmp_path, code)
    assert app.failure is None
    async with app.running():
        assert app.failure is not None
        assert app.failure.message == "./web_of_a_test.py:app did not start: RuntimeError('no database')"
        assert "in lifespan" in app.failure.traceback


async def test_an_app_without_a_lifespan_is_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    code = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204, "headers": [(b"X-Relayrun-App", b"mine")]})
    await send({"type": "http.response.body"})
"""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = loaded(tmp_path, code)
    with caplog.at_level(logging.INFO, "relayrun.runner"):
        async with app.running():
            assert app.failure is None
            await app.serve(scope(ProxiedRequest("/a b", "/a%20b")), _never, send)
    assert "has no lifespan" in caplog.text
    assert sent[0]["headers"] == [(b"x-relayrun-app", b"1")]


async def test_a_shutdown_that_fails_is_logged_and_that_is_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette

@asynccontextmanager
async def lifespan(app):
    yield
    raise RuntimeError("already closed")

app = Starlette(lifespan=lifespan)
"""
    async with loaded(tmp_path, code).running():
        pass
    assert "the shutdown of http.app failed" in caplog.text


@pytest.mark.parametrize(
    ("http", "sentence"),
    [
        ({"app": "app.py"}, "http.app: 'app.py' does not name an object: write ./app.py:app"),
        ({"app": "./app.ts:app"}, "http.app: ./app.ts is JavaScript"),
        ({"app": 1}, "http.app: "),
        ({"enable_custom_route_auth": "perhaps"}, "http.enable_custom_route_auth: "),
        ({"cors": {"allow_origin_regex": "("}}, "http.cors.allow_origin_regex: .*valid regular expression"),
        ({"configurable_headers": {"includes": "x-*"}}, "http.configurable_headers.includes: "),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path: Path, http: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_config(written(tmp_path, "", **http))


@pytest.mark.parametrize(("said", "open_to_all"), [({}, False), (True, False), (False, True), (None, False)])
def test_only_an_explicit_false_opens_the_app(tmp_path: Path, said: Any, open_to_all: bool) -> None:
    http = {} if said == {} else {"enable_custom_route_auth": said}
    told = custom_http_of(load_config(written(tmp_path, "", **http)).http, ())
    assert (told.app, told.open_to_all) == (True, open_to_all)


FASTAPI = """
from fastapi import APIRouter, FastAPI

keys, threads = APIRouter(prefix="/keys"), APIRouter(prefix="/threads")
keys.websocket("/watch")(lambda: None)
threads.get("/mine", include_in_schema=False)(lambda: None)
outer = APIRouter()
outer.include_router(keys)
app = FastAPI()
app.include_router(outer)
app.include_router(threads)
app.mount("/console", FastAPI())
app.get("/{rest:path}")(lambda: None)
"""


def test_routes_of_routers_that_an_app_includes_are_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert loaded(tmp_path, FASTAPI).takes == ("console", "keys")
    [warning] = caplog.messages
    assert "wins over the app's route /threads/mine" in warning


def test_a_request_arrives_as_it_was_handed_over() -> None:
    user = {"identity": "ü", "display_name": "Ü", "is_authenticated": True, "permissions": ["read"]}
    request = ProxiedRequest("/ü", "/%C3%BC", "/root", "a=%00", "host", "https", ("::1", 5), ("Bearer x",), user)
    made = scope_of(scope(request, (b"authorization", b"Bearer the runner's"), (b"host", b"here")), {"pool": 1})
    assert made["headers"] == [(b"host", b"here"), (b"authorization", b"Bearer x")]
    assert (made["path"], made["raw_path"], made["query_string"]) == ("/ü", b"/%C3%BC", b"a=%00")
    assert (made["root_path"], made["scheme"], made["client"]) == ("/root", "https", ("::1", 5))
    assert (made["user"].identity, made["user"].is_authenticated, made["auth"].scopes) == ("ü", True, ["read"])
    assert made["state"] == {"pool": 1}


def test_a_user_of_any_length_is_handed_over() -> None:
    request = ProxiedRequest("/", "/", user={"identity": "alice", "groups": ["g" * 100] * 600})
    headers = to_headers(request)
    assert len(headers) > 10
    assert max(len(value) for _, value in headers) < 8000  # what WebSocket servers take
    assert from_headers([(b"host", b"here"), *headers]) == request


def scope(request: ProxiedRequest, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    told = [*headers, *to_headers(request)]
    return {"type": "http", "method": "GET", "asgi": {}, "http_version": "1.1", "headers": told}


async def _never(*_: Any) -> Any:
    raise AssertionError("nobody asks")
