"""The bounds of every route: which start runs that count, and that no list, name or number of a body is without end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from relayrun_api.settings import ApiSettings
from tests.api.access import HS256, as_user, caller
from tests.api.conftest import Api, opened
from tests.api.test_ownership import BODIES, RUN, Route, routes_of, status_of, things_of
from tests.api.test_refusals import check_problem

ALICE = as_user("alice")
TALK = {"assistant_id": "talk", "message": "hi", "thread_id": "of her own"}
ANSWER = {"interrupt_id": "a" * 32, "response": "yes"}

#: Routes that start runs, which all count, with bodies that would start one.
STARTS: dict[Route, tuple[Any, ...]] = {
    **{("POST", f"/runs{way}"): (RUN,) for way in ("", "/stream", "/wait")},
    **{("POST", f"/threads/{{thread_id}}/runs{way}"): (RUN,) for way in ("", "/stream", "/wait")},
    ("POST", "/runs/batch"): ([RUN], [RUN, RUN]),
    **{("POST", path): (TALK,) for path in ("/chat", "/invoke", "/run-task")},
    ("POST", "/threads/{thread_id}/commands"): (
        {"id": 1, "method": "run.start", "params": RUN},
        {"id": 1, "method": "input.respond", "params": ANSWER},
    ),
    ("POST", "/a2a/{assistant_id}"): (BODIES["POST", "/a2a/{assistant_id}"],),
}
#: Right bodies of the others, where test_ownership.py has none.
OTHERS: dict[Route, Any] = {
    ("POST", "/assistants"): {"graph_id": "talk"},
    ("POST", "/threads"): {},
    ("POST", "/runs/crons"): {**RUN, "schedule": "@yearly"},
    ("POST", "/runs/cancel"): {"status": "all"},
    ("POST", "/threads/prune"): {"thread_ids": ["nobody's"]},
    ("POST", "/threads/{thread_id}/commands"): {"id": 1, "method": "agent.getTree", "params": {}},
    ("POST", "/a2a/{assistant_id}"): {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}},
}


async def test_exactly_the_routes_that_start_runs_count_them(database_url: str) -> None:
    settings = ApiSettings(database_url=database_url, rate_limit=2, **HS256)
    async with opened(settings) as api:
        _, things = [await things_of(api, ALICE) for _ in range(2)]  # the runs that may be
        routes = await routes_of(api)
        async with caller(api, ALICE) as alice:
            for (method, path), bodies in STARTS.items():
                for body in bodies:
                    answer = await alice.request(method, things.fill(path), json=body)
                    check_problem(answer, 429, "rate_limited")
        others = [route for route in routes if route not in STARTS or route in OTHERS]
        for method, path in sorted(others, key=lambda route: route[0] == "DELETE"):
            body = OTHERS.get((method, path), BODIES.get((method, path), {} if method == "POST" else None))
            assert await status_of(api, method, things.fill(path), ALICE, body) != 429, (method, path)
        assert len(await api.database.fetch_all("SELECT 1 FROM runs")) <= 2, "one of them starts runs and counts none"


#: Members of bodies whose bound the document does not say, each with a value beyond it.
SAID_ELSEWHERE: dict[str, Any] = {
    "webhook": f"https://example.com/{'x' * 2048}",
    "extract.*": f"values.{'x' * 512}",
    "index": ["a"] * 11,
    "index[]": "x" * 257,
}


def unbounded(
    schema: dict[str, Any], schemas: dict[str, Any], at: str = "", seen: tuple[str, ...] = ()
) -> Iterator[str]:
    """The members of a schema that may be as long or as large as one likes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from unbounded(schemas[name], schemas, at, (*seen, name))
    for part in (part for word in ("anyOf", "oneOf", "allOf") for part in schema.get(word, ())):
        yield from unbounded(part, schemas, at, seen)
    bounds = {
        "array": {"maxItems"},
        "string": {"maxLength", "format", "enum", "const", "pattern"},
        "integer": {"maximum", "exclusiveMaximum"},
        "number": {"maximum", "exclusiveMaximum"},
    }.get(str(schema.get("type")))
    if bounds is not None and not bounds & schema.keys():
        yield at
    if "items" in schema:
        yield from unbounded(schema["items"], schemas, f"{at}[]", seen)
    for name, member in (schema.get("properties") or {}).items():
        yield from unbounded(member, schemas, f"{at}.{name}".lstrip("."), seen)
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        yield from unbounded(more, schemas, f"{at}.*", seen)


async def test_no_list_name_or_number_of_a_body_is_without_a_bound(shared: Api) -> None:
    schemas = (await shared.http.get("/openapi.json")).json()["components"]["schemas"]
    found = set()
    for (method, path), operation in (await routes_of(shared)).items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            found |= {(method, path, at.removeprefix("[].")) for at in unbounded(content["schema"], schemas)}
    assert {at for _, _, at in found} == set(SAID_ELSEWHERE), found
    for method, path, at in sorted(found):
        body = _with(_right(method, path), at, SAID_ELSEWHERE[at])
        answer = await shared.http.request(method, _filled(path), json=body)
        check_problem(answer, 422, "invalid_request")
        assert at.partition("[")[0].partition(".")[0] in answer.text, answer.text


def _right(method: str, path: str) -> Any:
    if path == "/store/items":
        return {"namespace": ["a"], "key": "k", "value": {}}
    if path == "/runs/batch":
        return [dict(RUN)]
    return dict(OTHERS.get((method, path)) or BODIES.get((method, path)) or (RUN if path.startswith("/runs") else {}))


def _with(body: Any, at: str, value: Any) -> Any:
    if isinstance(body, list):
        return [_with(body[0], at, value)]
    name, _, rest = at.replace("[]", ".[]").partition(".")
    return {**body, name: {"": value, "*": {"x": value}, "[]": [value]}[rest]}


def _filled(path: str) -> str:
    return path.format(thread_id="somebody", cron_id="00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    ("path", "member", "body"),
    [
        ("/runs", "tags", {**RUN, "config": {"tags": ["a"] * 1001}}),
        ("/runs", "tags", {**RUN, "config": {"tags": ["a" * 257]}}),
        ("/threads/search", "select", {"select": ["status"] * 101}),
        ("/threads/somebody/history", "before", {"before": "x" * 257}),
    ],
)
async def test_what_is_too_long_is_refused_by_its_name(shared: Api, path: str, member: str, body: Any) -> None:
    answer = await shared.http.post(path, json=body)
    check_problem(answer, 422, "invalid_request")
    assert member in answer.text
