"""Bad input on every route of the OpenAPI document, so that a new route is tried too. Each refusal is a problem that a
page may read, none is a server's error, and the connection goes on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from relayrun_api.auth import GuardedRoute
from relayrun_api.http.bodies import MAX_JSON_CONTAINERS, parse_json
from relayrun_api.http.errors import Invalid
from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.runs import PendingInterrupt
from tests.api.access import HS256, token
from tests.api.conftest import Api, opened
from tests.api.play import Attempt
from tests.api.test_auth_tokens import unsigned
from tests.support.postgres import fresh_database

ORIGIN = "http://localhost:3000"
JSON = {"Content-Type": "application/json"}
BEYOND = {"int64": 2**63, "below int64": -(2**63) - 1, "uint64": 2**64, "float": 10**400}
# Of the right kind, whatever a route takes it for.
RIGHT: dict[str, Any] = {
    "assistant_id": "talk",
    "graph_id": "talk",
    "input": {},
    "message": "hi",
    "schedule": "0 3 * * *",
    "namespace": ["a"],
    "key": "k",
    "value": {},
    "checkpoint": {"checkpoint_id": "c"},
}

#: Bodies that are right for no route.
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a string": b'"text"',
    "a number": b"1",
    "cut off": b'{"metadata": {',
    "two": b"{}{}",
    "with a comment": b"{} // no",
    "with a single quote": b"{'a': 1}",
    "with a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "invalid UTF-8": b'{"metadata": {"a": "\xff"}}',
    "a surrogate in UTF-8": b'{"metadata": {"a": "\xed\xa0\x80"}}',
    "a lone surrogate": b'{"metadata": {"a": "\\ud800"}}',
    "a lone surrogate as a key": b'{"metadata": {"\\udfff": 1}}',
    "surrogates in the wrong order": b'{"metadata": {"a": "\\udc00\\ud800"}}',
    "NUL": b'{"metadata": {"a": "b\\u0000"}}',
    "NUL as a key": b'{"metadata": {"\\u0000": 1}}',
    "NUL, raw": b'{"metadata": {"a": "\0"}}',
    "NaN": b'{"metadata": {"a": NaN}}',
    "infinity": b'{"metadata": {"a": -Infinity}}',
    "beyond a float": b'{"metadata": {"a": 1e400}}',
    "10,000 lists deep": b'{"metadata": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
    "10,000 objects deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deeper than allowed": b'{"metadata": {"a": ' + b"[" * 300 + b"]" * 300 + b"}}",
    "compressed": b"\x1f\x8b\x08\x00" + bytes(20),
}
CONTENT_TYPES = ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "a/b/c", ";")

#: What no id, name, number or flag is, percent-encoded.
WORDS = {
    "NUL": "%00",
    "a NUL behind": "a%00",
    "invalid UTF-8": "%FF%FE",
    "a surrogate": "%ED%A0%80",
    "very long": "x" * 5_000,
    "beyond int64": str(2**63),
    "not ASCII": "%F0%9F%A6%80",
    "a quote": "%27%22%5C",
    "a new line": "a%0D%0AX-Injected:%201",
    "a path": "..%2F..%2Fetc",
}
HEADER_VALUES = {
    "nothing": b"",
    "a word": b"x",
    "not ASCII": "\u00e9\u00ff".encode("latin-1"),
    "UTF-8": "\U0001f980".encode(),
    "very long": b"x" * 20_000,
    "digits": b"9" * 127,
    "beyond int64": b"1-99999999999999999999",
    "below": b"-2--2",
}
#: Routes of JSON-RPC: what is wrong with a message is said in its own way, which their clients read.
RPC = {"/a2a/{assistant_id}", "/mcp"}
#: Where a `Last-Event-ID` that no event has is taken, and the stream tells what comes from now on.
FROM_NOW_ON = {
    "GET /threads/{thread_id}/runs/{run_id}/stream": HEADER_VALUES.keys() - {"very long"},
    "GET /threads/{thread_id}/stream": {"digits", "beyond int64"},
}


@dataclass(frozen=True)
class Route:
    """An operation of the document."""

    method: str
    path: str
    operation: dict[str, Any]
    guarded: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def takes_body(self) -> bool:
        return "requestBody" in self.operation

    def parameters(self, place: str) -> list[dict[str, Any]]:
        return [one for one in self.operation.get("parameters", ()) if one["in"] == place]

    def fill(self, ids: dict[str, str]) -> str:
        """The path with these ids."""
        return self.path.format(**{one["name"]: ids.get(one["name"], "x") for one in self.parameters("path")})


class Document:
    """The OpenAPI document of a running API."""

    def __init__(self, api: Api) -> None:
        guarded = {
            (method, route.path)
            for route in api.app.routes
            if isinstance(route, GuardedRoute)
            for method in route.methods
        }
        self._schemas = api.app.openapi()["components"]["schemas"]
        self.routes = [
            Route(method.upper(), path, operation, (method.upper(), path) in guarded)
            for path, operations in api.app.openapi()["paths"].items()
            for method, operation in operations.items()
        ]

    @property
    def with_body(self) -> list[Route]:
        return [route for route in self.routes if route.takes_body]

    @property
    def with_body_of_its_own(self) -> list[Route]:
        """One route of those that share a body."""
        return list({repr(route.operation["requestBody"]): route for route in self.with_body}.values())

    def bodies(self, route: Route, bad: Any) -> Iterator[tuple[str, Any]]:
        """A right body with `bad` in one member, for each member."""
        schema = self._resolved(route.operation["requestBody"]["content"]["application/json"]["schema"])
        of_list = schema.get("type") == "array"
        members = self._resolved(schema["items"] if of_list else schema).get("properties", {})
        right = {name: RIGHT[name] for name in members if name in RIGHT}
        for name in members:
            body = {**right, name: bad}
            yield name, [body] if of_list else body

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        name = schema.get("$ref", "").rpartition("/")[2]
        return self._schemas[name] if name else schema


@pytest.fixture(scope="module")
async def ids(shared: Api) -> dict[str, str]:
    """Things that exist: a thread whose run waits for an answer."""
    run = (await shared.http.post("/runs", json={"assistant_id": "talk"})).json()
    attempt = await Attempt.begin(shared.database, run["run_id"])
    await attempt.pause({"messages": []}, PendingInterrupt("a" * 32, "ok?", "task-1"))
    return {name: run[name] for name in ("thread_id", "run_id", "assistant_id")}


@asynccontextmanager
async def one_connection(api: Api, **headers: bytes) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one connection: at the end it must still be the first."""
    ports = set()

    async def note(response: httpx.Response) -> None:
        ports.add(response.extensions["network_stream"].get_extra_info("client_addr")[1])

    async with httpx.AsyncClient(
        base_url=api.url,
        headers={b"Origin": ORIGIN.encode(), **{name.encode(): value for name, value in headers.items()}},
        timeout=20,
        limits=httpx.Limits(max_connections=1),
        event_hooks={"response": [note]},
    ) as client:
        yield client
        assert (await client.get("/ok")).status_code == 200
    assert len(ports) == 1, "a refusal closed the connection"


def check_refused(response: httpx.Response, about: object, *statuses: int) -> None:
    """A problem that says what to do, to the page that asked."""
    told = (about, response.status_code, response.text[:300])
    assert response.headers["access-control-allow-origin"] == ORIGIN, told
    route = about[0] if isinstance(about, tuple) else about
    if isinstance(route, Route) and route.path in RPC and "jsonrpc" in response.json():
        assert response.status_code in (200, 400, 404, 405, 406), told
        error = response.json()["error"]
        assert error["code"] < 0, told
        assert error["message"].endswith("."), told
        return
    assert response.status_code in statuses if statuses else 400 <= response.status_code < 500, told
    assert response.headers["content-type"] == "application/problem+json", told
    problem = response.json()
    assert problem["detail"].endswith("."), told
    assert " " in problem["detail"], told
    assert problem["instance"] == response.headers["x-request-id"], told


async def status_of(client: httpx.AsyncClient, request: httpx.Request, about: object) -> int:
    """The status of an answer that need not be a refusal; of a stream only the head is read, by its own connection."""
    response = await client.send(request, stream=True)
    try:
        if response.is_error:
            await response.aread()
            if response.status_code == 503:
                assert response.json()["code"] == "no_runner", (about, response.text)
            else:
                check_refused(response, about)
    finally:
        await response.aclose()
    return response.status_code


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_that_is_none_is_refused_by_every_route(shared: Api, ids: dict[str, str], body: bytes) -> None:
    async with one_connection(shared) as client:
        for route in Document(shared).with_body:
            response = await client.request(route.method, route.fill(ids), content=body, headers=JSON)
            check_refused(response, route, 422)


async def test_the_wrong_one_of_list_and_object_is_refused_by_every_route(shared: Api, ids: dict[str, str]) -> None:
    async with one_connection(shared) as client:
        for route in Document(shared).with_body:
            for body in ([1], [[]], [None]):
                check_refused(await client.request(route.method, route.fill(ids), json=body), (route, body), 422)


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
async def test_a_body_that_is_not_declared_as_json_is_refused_by_every_route(
    shared: Api, ids: dict[str, str], content_type: str
) -> None:
    async with one_connection(shared) as client:
        for route in Document(shared).with_body:
            headers = {"Content-Type": content_type} if content_type else {}
            response = await client.request(route.method, route.fill(ids), content=b"{}", headers=headers)
            check_refused(response, route, 415)


async def test_a_body_of_fifty_megabytes_is_refused_by_every_route_before_it_comes(
    shared: Api, ids: dict[str, str]
) -> None:
    for route in Document(shared).with_body:
        headers = {**JSON, "Origin": ORIGIN, "Content-Length": str(50_000_000)}
        async with asyncio.timeout(60):
            check_refused(await early_answer(shared, route.method, route.fill(ids), headers), route, 413)


async def test_ten_megabytes_of_lists_are_refused_before_they_are_made(shared: Api) -> None:
    """Three bytes each, they would take twenty times their size and seconds in which nobody is answered."""
    async with one_connection(shared) as client:
        for brackets in (b"[],", b'{"a":{}},'):
            content = b'{"metadata": {"a": [' + brackets * (9_900_000 // len(brackets)) + b"1]}}"
            response = await client.post("/threads", content=content, headers=JSON)
            check_refused(response, brackets, 422)
            assert f"{MAX_JSON_CONTAINERS} lists and objects" in response.json()["detail"]


@pytest.mark.parametrize(
    "text",
    ["[" * 300_000, "{[" * 1000 + '"]}' * 1000, r"\u0000", r"\\u0000", '"[[\\' * 1000, '"' * 999 + "[" * 999],
    ids=["brackets", "quotes", "no NUL", "no NUL behind two", "backslashes", "quotes at first"],
)
def test_what_looks_like_json_in_a_string_is_text(text: str) -> None:
    assert parse_json(json_of({text: [text]})) == {text: [text]}


@pytest.mark.parametrize(
    "body", [b'["' + b'\\"' * 4_000_000 + b"[" * 999, b'"' * 8_000_001 + b"[" * 999, b'["' + b"[" * 9_000_000]
)
def test_what_is_no_json_is_refused_in_time(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(Invalid):
        parse_json(body)
    assert time.process_time() - began < 10


async def early_answer(api: Api, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    """The answer to a request whose body does not come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    lines = [f"{method} {path} HTTP/1.1", "Host: api", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "", "{"]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    answered = [tuple(line.split(": ", 1)) for line in head[1:] if line]
    body = await reader.readexactly(int(dict(answered)["content-length"]))
    writer.close()
    return httpx.Response(int(head[0].split()[1]), headers=answered, content=body)


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "in chunks"])
async def test_after_a_body_of_fifty_megabytes_the_connection_goes_on(shared: Api, *, declared: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 1_000_000

    headers = {**JSON, **({"Content-Length": "50000000"} if declared else {})}
    async with one_connection(shared) as client:
        for path in ("/chat", "/threads"):
            check_refused(await client.post(path, content=chunks(), headers=headers), path, 413)


@pytest.mark.parametrize("bad", ["a\0b", {"a": {"b\0": ["\0"]}}], ids=repr)
async def test_nul_is_refused_in_every_member_of_every_body(shared: Api, ids: dict[str, str], bad: Any) -> None:
    document = Document(shared)
    async with one_connection(shared) as client:
        for route in document.with_body_of_its_own:
            for name, body in document.bodies(route, bad):
                check_refused(await client.request(route.method, route.fill(ids), json=body), (route, name), 422)


@pytest.mark.parametrize("bad", ["\ud800", {"a": {"\udc00": ["\udfff b"]}}], ids=ascii)
async def test_lone_surrogates_are_refused_in_every_member_of_every_body(
    shared: Api, ids: dict[str, str], bad: Any
) -> None:
    document = Document(shared)
    async with one_connection(shared) as client:
        for route in document.with_body_of_its_own:
            for name, body in document.bodies(route, bad):
                # As escapes: in UTF-8 it is nothing at all.
                response = await client.request(route.method, route.fill(ids), content=json_of(body), headers=JSON)
                check_refused(response, (route, name), 422)


@pytest.mark.parametrize("number", BEYOND.values(), ids=BEYOND)
async def test_a_number_beyond_bounds_is_taken_or_refused_in_every_member(
    shared: Api, ids: dict[str, str], number: int
) -> None:
    document = Document(shared)
    async with httpx.AsyncClient(base_url=shared.url, headers={"Origin": ORIGIN, **JSON}, timeout=20) as client:
        for route in document.with_body_of_its_own:
            for bad in (number, {"a": -number}):
                for name, body in document.bodies(route, bad):
                    request = client.build_request(route.method, route.fill(ids), content=json_of(body))
                    await status_of(client, request, (route, name))


async def test_words_that_are_none_in_a_path_are_taken_or_refused_by_every_route(
    shared: Api, ids: dict[str, str]
) -> None:
    """Taken where they may be a name that was never used."""
    async with httpx.AsyncClient(base_url=shared.url, headers={"Origin": ORIGIN}, timeout=20) as client:
        for route in Document(shared).routes:
            for parameter in route.parameters("path"):
                for about, word in WORDS.items():
                    path = route.fill({**ids, parameter["name"]: word})
                    body = {"json": RIGHT} if route.takes_body else {}
                    status = await status_of(client, client.build_request(route.method, path, **body), (route, about))
                    if "NUL" in about or parameter["schema"].get("format") == "uuid":
                        assert status in (404, 422), (route, about)


async def test_words_that_are_none_in_a_query_are_taken_or_refused_by_every_route(
    shared: Api, ids: dict[str, str]
) -> None:
    async with httpx.AsyncClient(base_url=shared.url, headers={"Origin": ORIGIN}, timeout=20) as client:
        for route in Document(shared).routes:
            for parameter in route.parameters("query"):
                for about, word in WORDS.items():
                    url = f"{route.fill(ids)}?{parameter['name']}={word}&{parameter['name']}={word}"
                    body = {"json": RIGHT} if route.takes_body else {}
                    request = client.build_request(route.method, url, **body)
                    status = await status_of(client, request, (route, parameter["name"], about))
                    if "NUL" in about or parameter["schema"].get("type") in ("integer", "boolean"):
                        assert 400 <= status < 500, (route, parameter["name"], about)


async def test_headers_that_make_no_sense_are_taken_or_refused_by_every_route(shared: Api, ids: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=shared.url, headers={"Origin": ORIGIN}, timeout=20) as client:
        for route in Document(shared).routes:
            for parameter in route.parameters("header"):
                name = parameter["name"]
                for about, value in HEADER_VALUES.items():
                    headers = [(name.encode(), value)]
                    body = {"json": RIGHT} if route.takes_body else {}
                    request = client.build_request(route.method, route.fill(ids), headers=headers, **body)
                    status = await status_of(client, request, (route, name, about))
                    if name == "Last-Event-ID" and about != "nothing":
                        from_now_on = about in FROM_NOW_ON.get(str(route), ())
                        refused = {400, 422} if route.path in RPC else {422}
                        assert status in ({200} if from_now_on else refused), (route, about)


HEADERS: dict[str, list[tuple[bytes, bytes]]] = {
    "a thousand": [(b"X-%d" % number, b"y") for number in range(1000)],
    "of 50 KB": [(b"X", b"y" * 50_000)],
    "cookies": [(b"Cookie", b"a=" + b"b" * 10_000), (b"Cookie", b";;;=;\xff")],
    "two lengths of text": [(b"Accept", b"\xff"), (b"Accept", b"*/*;q=x"), (b"Accept-Encoding", b"gzip;q=-1")],
    "two content types": [(b"Content-Type", b"application/json"), (b"Content-Type", b"text/plain")],
    "two tokens": [(b"Authorization", b"Bearer \xff"), (b"Authorization", b"Basic x")],
    "two ids of requests": [(b"X-Request-ID", b"\xff\xfe"), (b"X-Request-ID", b"x" * 300)],
    "proxies": [(b"X-Forwarded-For", b"\xff, ,;"), (b"X-Forwarded-Proto", b"\xff"), (b"Forwarded", b"for=;;")],
    "traces": [(b"traceparent", b"00-\xff-x"), (b"tracestate", b"=" * 1000), (b"baggage", b"\xff=")],
    "another host": [(b"Host", b"\xff")],
    "conditions": [(b"If-None-Match", b"\xff"), (b"Range", b"bytes=9-1"), (b"If-Modified-Since", b"never")],
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_other_headers_disturb_no_request(shared: Api, headers: list[tuple[bytes, bytes]]) -> None:
    async with one_connection(shared) as client:
        for path in ("/threads/search", "/assistants/search"):
            given = [(b"Content-Type", b"application/json"), *headers]
            response = await client.post(path, content=b"{}", headers=given)
            assert response.status_code == 200, response.text
        check_refused(await client.post("/chat", content=b"{}", headers=given), "a wrong body", 422)


@pytest.mark.parametrize("path", ["/chat", "/invoke", "/run-task"])
async def test_a_message_of_more_than_ten_thousand_characters_is_refused(shared: Api, path: str) -> None:
    async with one_connection(shared) as client:
        response = await client.post(path, json={"assistant_id": "talk", "message": "x" * 10_001})
        check_refused(response, path, 422)
        assert "10000 characters" in response.json()["detail"]


async def test_a_method_that_a_path_has_not_is_refused_with_those_it_has(shared: Api, ids: dict[str, str]) -> None:
    document = Document(shared)
    async with one_connection(shared) as client:
        for route in document.routes:
            response = await client.request("TRACE", route.fill(ids))
            check_refused(response, route, 405)
            assert route.method in response.headers["allow"]
            assert route.method in response.json()["detail"]


@pytest.fixture(scope="module")
async def guarded(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    settings = {"cors_origins": [ORIGIN], **HS256}
    async with fresh_database(postgres) as url, opened(ApiSettings(database_url=url, **settings)) as api:
        yield api


TOKENS = {
    "expired": token(exp=1_000_000_000).encode(),
    "unsigned": unsigned("none").encode(),
    "of another secret": token(key="another secret of thirty-two bytes!!").encode(),
    "garbage": b"\xff.\xff.\xff",
    "very long": b"x" * 30_000,
}


@pytest.mark.parametrize("text", TOKENS.values(), ids=TOKENS)
async def test_a_token_that_is_none_is_refused_by_every_route(guarded: Api, text: bytes) -> None:
    """Which tokens are none is tested where tokens are; here, that every route looks at them."""
    async with one_connection(guarded, Authorization=b"Bearer " + text) as client:
        for route in Document(guarded).routes:
            if route.guarded:
                path = route.fill({})
                body = {"json": RIGHT} if route.takes_body else {}
                response = await client.request(route.method, path, **body)
                check_refused(response, route, 401)
                assert response.headers["www-authenticate"].startswith("Bearer ")


def json_of(value: Any) -> bytes:
    """JSON in ASCII, of numbers and characters of any kind."""
    return json.dumps(value).encode()
