"""What is refused, and how: problem details, bounds, text that cannot be stored, CORS on every answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from relayrun_api.http.bodies import MAX_JSON_DEPTH
from tests.api.conftest import Api

RUN = {"assistant_id": "talk", "message": "hi"}
JSON = {"content-type": "application/json"}


def check_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.text
    )
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"].endswith(code)
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == response.headers["x-request-id"]
    return problem


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": ""},
        {"message": "x" * 10_001},
        {"message": 1},
        {"message": "hi", "resume": 1},
        {"resume": None},
        {"message": "hi", "unknown": 1},
        {"message": "hi", "thread_id": "x" * 257},
        {"message": "hi", "user_context": {"x": "y" * 17_000}},
        [],
        "text",
    ],
)
async def test_a_wrong_body_is_422_and_says_where(shared: Api, body: Any) -> None:
    problem = check_problem(await shared.http.post("/chat", json=body), 422, "invalid_request")
    assert problem["errors"][0]["pointer"].startswith("#")


async def test_ten_thousand_characters_are_counted_as_code_points(shared: Api) -> None:
    accepted = await shared.http.post("/run-task", json={**RUN, "message": "\U0001f980" * 10_000})
    assert accepted.status_code == 202


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"message": "\\ud800"}',
        b"\xff",
        b'{"message": "a\\u0000b"}',
        b'{"me\\u0000ssage": 1}',
        b"[" * 5000,
        b"NaN",
    ],
)
async def test_what_is_not_storable_json_is_422(shared: Api, content: bytes) -> None:
    for path in ("/chat", "/threads", "/threads/search", "/runs/stream"):
        check_problem(await shared.http.post(path, content=content, headers=JSON), 422, "invalid_request")


async def test_an_escaped_backslash_before_u0000_is_text(shared: Api) -> None:
    content = b'{"assistant_id": "talk", "message": "\\\\u0000"}'
    assert (await shared.http.post("/run-task", content=content, headers=JSON)).status_code == 202


async def test_json_deeper_than_the_bound_is_422(shared: Api) -> None:
    def nested(depth: int) -> bytes:
        return b'{"metadata": {"x": ' + b"[" * (depth - 2) + b"]" * (depth - 2) + b"}}"

    assert (await shared.http.post("/threads", content=nested(MAX_JSON_DEPTH), headers=JSON)).status_code == 200
    check_problem(
        await shared.http.post("/threads", content=nested(MAX_JSON_DEPTH + 1), headers=JSON), 422, "invalid_request"
    )


async def test_a_body_over_ten_megabytes_is_413_with_and_without_a_length(shared: Api) -> None:
    big = b'{"metadata": {"x": "' + b"y" * 10_000_000 + b'"}}'

    async def chunks() -> Any:
        for start in range(0, len(big), 1_000_000):
            yield big[start : start + 1_000_000]

    check_problem(await shared.http.post("/threads", content=big, headers=JSON), 413, "body_too_large")
    check_problem(await shared.http.post("/threads", content=chunks(), headers=JSON), 413, "body_too_large")


async def test_a_body_that_is_not_declared_as_json_is_415(shared: Api) -> None:
    headers = {"content-type": "text/plain"}
    check_problem(
        await shared.http.post("/chat", content=b'{"message": "hi"}', headers=headers), 415, "unsupported_media_type"
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/chat", 405, "method_not_allowed"),
        ("GET", "/threads/nobody", 422, "thread_not_found"),
        ("GET", "/threads/nobody/runs", 422, "thread_not_found"),
        ("GET", "/threads/nobody/state", 422, "thread_not_found"),
        ("DELETE", "/threads/nobody", 422, "thread_not_found"),
        ("GET", "/threads/a/runs/00000000-0000-4000-8000-000000000001", 422, "thread_not_found"),
        ("GET", "/threads/a/runs/not-a-uuid", 422, "invalid_request"),
        ("GET", "/chat/not-a-uuid", 422, "invalid_request"),
        ("GET", "/chat/00000000-0000-4000-8000-000000000001", 404, "run_not_found"),
        ("DELETE", "/runs/00000000-0000-4000-8000-000000000001", 404, "run_not_found"),
        ("GET", "/threads/00000000-0000-4000-8000-000000000001", 404, "thread_not_found"),
        ("GET", "/assistants/nope", 422, "assistant_not_found"),
        ("GET", "/assistants/00000000-0000-4000-8000-000000000001", 404, "assistant_not_found"),
        ("GET", "/threads/a%00b", 422, "invalid_request"),
        ("GET", "/threads/a/runs?limit=many", 422, "invalid_request"),
        ("GET", "/threads/a/runs?offset=-1", 422, "invalid_request"),
        ("GET", "/threads/" + "x" * 257, 422, "invalid_request"),
    ],
)
async def test_each_refusal_is_a_problem(shared: Api, method: str, path: str, status: int, code: str) -> None:
    check_problem(await shared.http.request(method, path), status, code)


async def test_numbers_beyond_64_bits_come_back(shared: Api) -> None:
    content = b'{"thread_id": "large", "metadata": {"whole": 123456789012345678901234567890, "real": 1e308}}'
    made = await shared.http.post("/threads", content=content, headers=JSON)
    assert made.status_code == 200
    found = (await shared.http.get("/threads/large")).json()
    assert found["metadata"] == {"whole": pytest.approx(123456789012345678901234567890), "real": pytest.approx(1e308)}
    assert (found["thread_id"], found["created_at"][10]) == (made.json()["thread_id"], "T")


@pytest.mark.parametrize("sent", ["1-99999999999999999999", "1--2", "x", "1-", "9" * 127, "1-1.x", "\u00e9"])
async def test_an_event_id_that_is_none_means_from_now_on(shared: Api, sent: str) -> None:
    run = (await shared.http.post("/runs", json={"assistant_id": "steps"})).json()
    path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream"
    async with shared.http.stream("GET", path, headers={"Last-Event-ID": sent.encode("latin-1")}) as response:
        assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")


@pytest.mark.parametrize(
    "wrong",
    [
        {"assistant_id": "x" * 257},
        {"checkpoint_id": "x" * 257},
        {"interrupt_before": ["x" * 257]},
        {"interrupt_after": ["x"] * 1001},
        {"stream_mode": ["values"] * 101},
        {"config": []},
        {"config": {"configurable": [1]}},
        {"config": {"tags": 5}},
        {"config": {"recursion_limit": 0}},
        {"config": {"metadata": "x"}},
    ],
)
async def test_a_run_that_could_only_fail_in_its_runner_is_422(shared: Api, wrong: dict[str, Any]) -> None:
    response = await shared.http.post("/runs", json={"assistant_id": "steps", "input": {}, **wrong})
    problem = check_problem(response, 422, "invalid_request")
    assert problem["errors"][0]["pointer"].startswith(f"#/{next(iter(wrong))}")


async def test_a_runs_config_is_passed_on_as_it_was_given(shared: Api) -> None:
    config = {"tags": ["a"], "configurable": {"x": None, "deep": {"y": [1]}}, "recursion_limit": 7, "other": 1}
    body = {"assistant_id": "steps", "config": {**config, "max_concurrency": None}}
    run = (await shared.http.post("/runs", json=body)).json()
    assert run["kwargs"]["config"] == config


async def test_a_plain_request_id_is_kept_and_another_is_replaced(shared: Api) -> None:
    kept = await shared.http.get("/ok", headers={"X-Request-ID": "abc-1"})
    assert kept.headers["x-request-id"] == "abc-1"
    replaced = await shared.http.get("/ok", headers={"X-Request-ID": "x" * 200})
    assert len(replaced.headers["x-request-id"]) == 32


@pytest.mark.parametrize("path", ["/ok", "/nothing", "/broken"])
async def test_a_page_may_read_every_answer_even_a_500(shared: Api, path: str) -> None:
    async def broken() -> None:
        raise RuntimeError("secret")

    shared.app.add_api_route("/broken", broken)
    for origin in ("http://localhost:5173", "https://smith.langchain.com"):
        response = await shared.http.get(path, headers={"Origin": origin})
        assert response.headers["access-control-allow-origin"] == origin
        assert "Content-Location" in response.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in response.headers
        assert "secret" not in response.text
    foreign = await shared.http.get(path, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers
    if path == "/broken":
        check_problem(foreign, 500, "internal_error")


async def test_studio_may_ask_for_the_private_network(shared: Api) -> None:
    headers = {
        "Origin": "https://smith.langchain.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key,content-type,last-event-id",
        "Access-Control-Request-Private-Network": "true",
    }
    response = await shared.http.options("/threads", headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-private-network"] == "true"
