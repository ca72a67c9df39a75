"""Assistants through the official clients: their versions, what they give to their runs, who sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.database import Database
from relayrun_core.db.agents import NewGraph, register_graphs
from relayrun_core.db.rows import MAX_OBJECT_BYTES
from relayrun_core.db.runs import get_run
from relayrun_core.errors import RunNotFound
from relayrun_core.ids import default_assistant_id
from relayrun_core.runs import Run
from tests.api.access import HS256, as_admin, as_user
from tests.api.conftest import Api, opened, serving
from tests.api.play import STEPS, Attempt, register
from tests.api.test_refusals import check_problem
from tests.support.postgres import fresh_database
from tests.support.waiting import eventually

LANGGRAPH_DEV_STEPS = "01d10e59-d4b4-51ec-8e94-9b2716b34de8"  # what langgraph dev calls a graph named `steps`
NOBODYS = "00000000-0000-4000-8000-000000000000"
ALICE, BOB, ADMIN = as_user("alice"), as_user("bob"), as_admin()
CONTEXT = {"type": "object", "properties": {"model": {"type": "string"}, "tone": {"type": "string"}}}

#: In the order of langgraph dev's answers.
MEMBERS = [
    "assistant_id", "graph_id", "config", "context", "metadata", "name", "created_at", "updated_at", "version",
    "description",
]  # fmt: skip


#: Graphs with a context schema: one of `CONTEXT` and what is here.
TYPED: dict[str, dict[str, Any]] = {
    "typed": {},
    "needy": {"required": ["model"]},
    "open": {"additionalProperties": True},
}


@pytest.fixture(scope="module")
async def shared(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    """An API for tests that leave nothing behind that another could trip over."""
    async with fresh_database(postgres) as url:
        async with Database.open(url, role="runner") as database:
            graphs = [NewGraph(name, {"input": STEPS, "context": CONTEXT | more}, {}) for name, more in TYPED.items()]
            await register_graphs(database, graphs, agent="default", build="1")
        async with opened(ApiSettings(database_url=url, auth="none")) as api:
            yield api


async def run_with(api: Api, assistant_id: str, **body: Any) -> Run:
    """A run that was accepted with this assistant."""
    created = await api.http.post("/runs", json={"assistant_id": assistant_id, "input": {}, **body})
    assert created.status_code == 200, created.text
    run = await get_run(api.database, UUID(created.json()["run_id"]))
    assert run is not None
    return run


async def made(client: httpx.AsyncClient, headers: Mapping[str, str] | None = None, **body: Any) -> str:
    """A new assistant's id."""
    answer = await client.post("/assistants", json={"graph_id": "steps", **body}, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["assistant_id"])


async def test_every_graph_has_an_assistant_with_the_id_that_langgraph_dev_gives_it(api: Api) -> None:
    found = await api.sdk.assistants.search(graph_id="steps")
    assert [assistant["assistant_id"] for assistant in found] == [LANGGRAPH_DEV_STEPS]
    assert await api.sdk.assistants.count() == 2
    by_id = await api.sdk.assistants.get(LANGGRAPH_DEV_STEPS)
    assert by_id == await api.sdk.assistants.get("steps") == found[0]
    assert (by_id["graph_id"], by_id["metadata"], by_id["version"]) == ("steps", {"created_by": "system"}, 1)
    [version] = await api.sdk.assistants.get_versions(LANGGRAPH_DEV_STEPS, metadata={"created_by": "system"})
    assert (version["version"], version["name"]) == (1, "steps")
    assert await api.sdk.assistants.get_versions(LANGGRAPH_DEV_STEPS, metadata={"created_by": "me"}) == []


async def test_an_assistant_is_made_read_changed_taken_back_and_deleted(shared: Api) -> None:
    client = shared.sdk.assistants
    first = await client.create(
        "steps",
        {"tags": ["t"], "recursion_limit": 7, "configurable": {"model": "a"}},
        metadata={"kind": "first", "both": 1},
        name="mine",
        description="what it is for",
    )
    assert list(first) == MEMBERS
    assert first["config"] == {"tags": ["t"], "recursion_limit": 7, "configurable": {"model": "a"}}
    assert (first["version"], first["context"], first["graph_id"]) == (1, {"model": "a"}, "steps")
    assistant_id = first["assistant_id"]
    assert await client.get(assistant_id) == first

    second = await client.update(assistant_id, metadata={"both": 2, "more": 3}, name="ours")
    assert (second["version"], second["name"], second["description"]) == (2, "ours", "what it is for")
    assert (second["metadata"], second["config"]) == ({"kind": "first", "both": 2, "more": 3}, first["config"])
    third = await client.update(assistant_id, graph_id="talk", config={"tags": ["u"]})
    assert (third["version"], third["graph_id"]) == (3, "talk")
    assert (third["config"], third["context"]) == ({"tags": ["u"]}, {"model": "a"})

    versions = await client.get_versions(assistant_id)
    assert [version["version"] for version in versions] == [3, 2, 1]
    assert "updated_at" not in versions[0]
    assert [v["version"] for v in await client.get_versions(assistant_id, metadata={"both": 2}, limit=1)] == [3]
    assert [v["version"] for v in await client.get_versions(assistant_id, limit=1, offset=2)] == [1]

    again = await client.set_latest(assistant_id, 1)
    changed = ("updated_at",)
    assert {k: v for k, v in again.items() if k not in changed} == {k: v for k, v in first.items() if k not in changed}
    # A number is never given twice.
    assert (await client.update(assistant_id, description="new"))["version"] == 4
    with pytest.raises(NotFoundError):
        await client.set_latest(assistant_id, 5)

    await client.delete(assistant_id)
    for call in (client.get, client.delete, client.get_versions, client.get_schemas, client.get_graph, client.update):
        with pytest.raises(NotFoundError):
            await call(assistant_id)


async def test_the_sync_client_does_the_same(shared: Api) -> None:
    def use() -> None:
        with get_sync_client(url=shared.url, api_key=None) as client:
            assistants = client.assistants
            one = assistants.create("steps", context={"model": "x"}, assistant_id=str(uuid4()), metadata={"by": "sync"})
            assistant_id = one["assistant_id"]
            assert one["config"] == {"configurable": {"model": "x"}}
            assert assistants.get(assistant_id) == one
            assert assistants.update(assistant_id, name="renamed")["version"] == 2
            assert assistants.set_latest(assistant_id, 1)["name"] == "Untitled"
            assert len(assistants.get_versions(assistant_id)) == 2
            assert assistants.search(metadata={"by": "sync"}, select=["name"]) == [{"name": "Untitled"}]
            assert assistants.count(metadata={"by": "sync"}) == 1
            assert assistants.get_graph(assistant_id) == {"nodes": [{"id": "a"}], "edges": []}
            assert assistants.get_schemas(assistant_id)["graph_id"] == "steps"
            assert list(assistants.get_subgraphs(assistant_id)) == ["inner"]
            assistants.delete(assistant_id)
            assert assistants.count(metadata={"by": "sync"}) == 0

    await asyncio.to_thread(use)


async def test_an_id_that_is_taken_is_a_conflict_unless_told_otherwise(shared: Api) -> None:
    one = await shared.sdk.assistants.create("steps", name="one")
    for taken in (one["assistant_id"], LANGGRAPH_DEV_STEPS):
        with pytest.raises(ConflictError) as caught:
            await shared.sdk.assistants.create("steps", assistant_id=taken, name="two")
        assert caught.value.code == "assistant_exists"
        same = await shared.sdk.assistants.create("steps", assistant_id=taken, if_exists="do_nothing", name="two")
        assert same == await shared.sdk.assistants.get(taken)
    with pytest.raises(UnprocessableEntityError):
        await shared.sdk.assistants.create("steps", assistant_id="mine")


@pytest.mark.parametrize(
    ("sent", "config", "context"),
    [
        ({"config": {"configurable": {"a": 1}}}, {"configurable": {"a": 1}}, {"a": 1}),
        ({"context": {"a": 1}}, {"tags": ["t"], "configurable": {"a": 1}}, {"a": 1}),
        ({"config": {"tags": ["u"]}}, {"tags": ["u"]}, {"old": 1}),
        ({"config": {"tags": ["u"]}, "context": {"a": 1}}, {"tags": ["u"], "configurable": {"a": 1}}, {"a": 1}),
        ({"config": {}}, {"tags": ["t"], "configurable": {"old": 1}}, {"old": 1}),
        ({"context": {}}, {"tags": ["t"], "configurable": {}}, {}),
        ({"config": None, "context": None, "metadata": {}}, {"tags": ["t"], "configurable": {"old": 1}}, {"old": 1}),
    ],
)
async def test_context_and_configurable_say_the_same(
    shared: Api, sent: dict[str, Any], config: dict[str, Any], context: dict[str, Any]
) -> None:
    assistant_id = await made(shared.http, config={"tags": ["t"], "configurable": {"old": 1}})
    answer = (await shared.http.patch(f"/assistants/{assistant_id}", json=sent)).json()
    assert (answer["config"], answer["context"], answer["version"]) == (config, context, 2)


async def test_changes_at_the_same_time_are_all_versions(shared: Api) -> None:
    assistant_id = await made(shared.http)
    updates = [shared.sdk.assistants.update(assistant_id, metadata={f"m{n}": n}) for n in range(10)]
    assert sorted([answer["version"] for answer in await asyncio.gather(*updates)]) == list(range(2, 12))
    assert len((await shared.sdk.assistants.get(assistant_id))["metadata"]) == 10
    assert [v["version"] for v in await shared.sdk.assistants.get_versions(assistant_id, limit=20)] == list(
        range(11, 0, -1)
    )


async def test_assistants_are_searched_sorted_and_counted(shared: Api) -> None:
    kind = {"kind": str(uuid4())}
    for name, graph in (("Beta 100%", "steps"), ("alpha", "talk"), ("gamma", "steps")):
        await shared.sdk.assistants.create(graph, metadata={**kind, "name": {"is": name}}, name=name)

    async def found(**query: Any) -> list[str]:
        answer = await shared.sdk.assistants.search(metadata=kind, **query)
        return [assistant["name"] for assistant in answer]

    assert await found() == ["gamma", "alpha", "Beta 100%"]
    assert await found(sort_by="name", sort_order="asc") == ["alpha", "Beta 100%", "gamma"]
    assert await found(sort_by="graph_id") == ["alpha", "Beta 100%", "gamma"]
    assert await found(graph_id="steps", sort_order="asc") == ["Beta 100%", "gamma"]
    assert await found(name="ALPH") == ["alpha"]
    assert await found(name="0%") == ["Beta 100%"]
    assert await found(name="%") == ["Beta 100%"]
    assert await found(name="_") == []
    query = {"metadata": {**kind, "name": {"is": "gamma"}}}
    [only] = await shared.sdk.assistants.search(**query, select=["version", "name"])  # type: ignore[call-overload]
    assert only == {"name": "gamma", "version": 1}
    assert await shared.sdk.assistants.count(**query) == 1
    assert await shared.sdk.assistants.count(metadata=kind, graph_id="steps", name="a") == 2


async def test_assistants_come_in_pages(api: Api) -> None:
    await api.sdk.assistants.create("steps", name="zeta")
    order: Any = {"sort_by": "name", "sort_order": "asc"}
    pages = [
        await api.sdk.assistants.search(limit=2, offset=offset, response_format="object", **order)
        for offset in (0, 2, 4)
    ]
    assert [[entry["name"] for entry in page["assistants"]] for page in pages] == [["steps", "talk"], ["zeta"], []]
    assert [page["next"] for page in pages] == ["2", None, None]
    answer = await api.http.post("/assistants/search", json={"limit": 1, "offset": 1})
    assert (answer.headers["x-pagination-total"], answer.headers["x-pagination-next"]) == ("3", "2")


async def test_a_graph_that_nobody_offers_is_404(shared: Api) -> None:
    client = shared.sdk.assistants
    assistant_id = await made(shared.http)
    calls = (client.create("nope"), client.search(graph_id="nope"), client.count(graph_id="nope"))
    for call in (*calls, client.update(assistant_id, graph_id="nope")):
        with pytest.raises(NotFoundError) as caught:
            await call
        assert "steps, talk" in str(caught.value)


async def test_a_graph_that_two_agents_offer_is_called_with_its_agent(settings: ApiSettings) -> None:
    async with opened(settings) as api:
        await register(api.database, "steps", STEPS, agent="other")
    async with serving(settings) as (_, _, url):
        sdk = get_client(url=url, api_key=None)
        names = {assistant["name"] for assistant in await sdk.assistants.search()}
        assert names == {"steps", "other/steps", "talk"}
        run = await sdk.runs.create(None, "other/steps", input={})
        assert run["agent"] == "other"  # type: ignore[typeddict-item]
        assistant = await sdk.assistants.create("other/steps")
        assert assistant["graph_id"] == "other/steps"
        run = await sdk.runs.create(None, assistant["assistant_id"], input={})
        assert run["agent"] == "other"  # type: ignore[typeddict-item]
        assert [a["name"] for a in await sdk.assistants.search(graph_id="other/steps")] == ["Untitled", "other/steps"]
        await sdk.aclose()


SETTINGS = {
    "config": {"tags": ["a"], "recursion_limit": 7, "configurable": {"model": "a", "deep": {"x": 1}, "weird": 1}},
    "metadata": {"who": "assistant", "kept": 1},
}


@pytest.mark.parametrize(
    ("sent", "config", "context", "metadata"),
    [
        ({}, {}, {"model": "a"}, {"who": "assistant", "kept": 1}),
        (
            {"config": {"tags": ["r"], "configurable": {"deep": {"y": 2}, "tone": "dry"}}},
            {"tags": ["r"], "configurable": {"model": "a", "deep": {"y": 2}, "weird": 1, "tone": "dry"}},
            {"model": "a", "tone": "dry"},
            {"who": "assistant", "kept": 1},
        ),
        (
            {"context": {"model": "r"}, "metadata": {"who": "run"}},
            {"configurable": {"model": "r", "deep": {"x": 1}, "weird": 1}},
            {"model": "r"},
            {"who": "run", "kept": 1},
        ),
        (
            {"config": {"recursion_limit": 9, "metadata": {"who": "config"}}},
            {"recursion_limit": 9, "metadata": {"who": "config"}},
            {"model": "a"},
            {"who": "config", "kept": 1},
        ),
    ],
)
async def test_a_run_has_its_assistants_settings_below_its_own(
    shared: Api, sent: dict[str, Any], config: dict[str, Any], context: dict[str, Any], metadata: dict[str, Any]
) -> None:
    assistant_id = await made(shared.http, graph_id="typed", **SETTINGS)
    run = await run_with(shared, assistant_id, **sent)
    assert run.spec.config == {**SETTINGS["config"], **config}
    assert run.spec.context == context
    assert run.spec.metadata == {**metadata, "graph_id": "typed", "assistant_id": assistant_id}
    assert (str(run.assistant_id), run.agent, run.graph) == (assistant_id, "default", "typed")
    thread = (await shared.http.get(f"/threads/{run.thread_id}")).json()
    assert thread["metadata"] == {"graph_id": "typed", "assistant_id": assistant_id}


async def test_a_context_of_nothing_is_the_schemas_own_if_that_needs_nothing(shared: Api) -> None:
    assert (await run_with(shared, "typed")).spec.context == {}
    assert (await run_with(shared, "needy")).spec.context is None
    assert (await run_with(shared, "needy", context={"model": "a", "weird": 1})).spec.context == {"model": "a"}
    assert (await run_with(shared, "open", context={"weird": 1})).spec.context == {"weird": 1}
    assert (await run_with(shared, "steps")).spec.context is None
    assert (await run_with(shared, "steps", context={"weird": 1})).spec.context == {"weird": 1}


async def test_an_assistant_answers_messages(shared: Api) -> None:
    assistant_id = await made(shared.http, graph_id="talk", config={"configurable": {"model": "a"}}, metadata={"m": 1})
    body = {"message": "hi", "assistant_id": assistant_id, "thread_id": "al", "user_context": {"plan": "pro"}}
    accepted = (await shared.http.post("/run-task", json=body)).json()
    run = await get_run(shared.database, UUID(accepted["run_id"]))
    assert run is not None
    assert run.spec.config == {"configurable": {"model": "a", "user_context": {"plan": "pro"}}}
    assert run.spec.metadata == {"m": 1, "graph_id": "talk", "assistant_id": assistant_id}
    refused = await shared.http.post("/chat", json={**body, "assistant_id": await made(shared.http)})
    assert (refused.status_code, "`messages`" in refused.json()["detail"]) == (422, True)


async def test_a_change_counts_for_the_next_run_on_every_replica_and_for_none_before(
    api: Api, settings: ApiSettings
) -> None:
    assistant_id = await made(api.http, context={"model": "one"})
    async with serving(settings) as (_, _, url), httpx.AsyncClient(base_url=url) as other:
        for named, model in ((assistant_id, "one"), ("steps", None)):
            # Both replicas know it by now.
            first = await other.post("/runs", json={"assistant_id": named, "input": {}})
            assert first.json()["kwargs"]["context"] == ({"model": model} if model else {})
            changed = await api.http.patch(f"/assistants/{named}", json={"context": {"model": "two"}})
            assert changed.json()["version"] == 2
            second = await other.post("/runs", json={"assistant_id": named, "input": {}})
            assert second.json()["kwargs"]["context"] == {"model": "two"}
            kept = await api.http.get(f"/threads/{first.json()['thread_id']}/runs/{first.json()['run_id']}")
            assert kept.json()["kwargs"] == first.json()["kwargs"]
        await api.sdk.assistants.delete(assistant_id)
        refused = await other.post("/runs", json={"assistant_id": assistant_id, "input": {}})
        check_problem(refused, 404, "assistant_not_found")


async def test_a_default_assistant_can_be_changed_and_stays_as_long_as_its_graph(api: Api) -> None:
    client = api.sdk.assistants
    changed = await client.update("steps", config={"tags": ["t"]}, name="Steps", metadata={"more": 1})
    assert (changed["assistant_id"], changed["version"], changed["name"]) == (LANGGRAPH_DEV_STEPS, 2, "Steps")
    assert changed["metadata"] == {"created_by": "system", "more": 1}
    assert [entry["assistant_id"] for entry in await client.search(name="Steps")] == [LANGGRAPH_DEV_STEPS]
    assert await client.count() == 2
    for named in ("steps", LANGGRAPH_DEV_STEPS):
        assert (await run_with(api, named)).spec.config == {"tags": ["t"]}
    assert [version["config"] for version in await client.get_versions("steps")] == [{"tags": ["t"]}, {}]
    with pytest.raises(ConflictError):
        await client.delete("steps")
    assert (await client.set_latest("steps", 1))["name"] == "steps"
    assert (await run_with(api, "steps")).spec.config == {}
    # Its graph is gone with the next build, and so is it; an assistant that somebody made is not.
    mine = await made(api.http)
    await register(api.database, "talk", STEPS, build="2")
    async with serving(api.app.state.services.settings) as (_, _, url), httpx.AsyncClient(base_url=url) as other:
        assert (await other.get(f"/assistants/{LANGGRAPH_DEV_STEPS}")).status_code == 404
        listed = (await other.post("/assistants/search", json={"sort_by": "name"})).json()
        assert [(entry["name"], entry["graph_id"]) for entry in listed] == [("Untitled", "steps"), ("talk", "talk")]
        refused = await other.post("/runs", json={"assistant_id": mine, "input": {}})
        check_problem(refused, 422, "invalid_request")
        assert (await other.patch(f"/assistants/{mine}", json={"graph_id": "talk"})).json()["graph_id"] == "talk"
        assert (await other.post("/runs", json={"assistant_id": mine, "input": {}})).status_code == 200


@pytest.mark.parametrize("named", [NOBODYS, "nope", ""])
async def test_a_run_of_an_unknown_assistant_is_refused(shared: Api, named: str) -> None:
    # As langgraph dev: an id that could be one is not found, a name that no graph has is a mistake.
    expected = (404, "assistant_not_found") if named == NOBODYS else (422, "invalid_request")
    thread = await shared.sdk.threads.create()
    for path in ("/runs", "/runs/wait", "/runs/stream", f"/threads/{thread['thread_id']}/runs"):
        check_problem(await shared.http.post(path, json={"assistant_id": named, "input": {}}), *expected)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"graph_id": None},
        {"graph_id": ""},
        {"graph_id": "steps", "assistant_id": "mine"},
        {"graph_id": "steps", "assistant_id": 7},
        {"graph_id": "steps", "if_exists": "replace"},
        {"graph_id": "steps", "name": "x" * 257},
        {"graph_id": "steps", "name": 7},
        {"graph_id": "steps", "description": "x" * 4097},
        {"graph_id": "steps", "config": []},
        {"graph_id": "steps", "config": {"tags": "t"}},
        {"graph_id": "steps", "config": {"recursion_limit": 0}},
        {"graph_id": "steps", "config": {"any": "x" * MAX_OBJECT_BYTES}},
        {"graph_id": "steps", "context": {"any": "x" * MAX_OBJECT_BYTES}},
        {"graph_id": "steps", "metadata": {"any": "x" * MAX_OBJECT_BYTES}},
        {"graph_id": "steps", "metadata": {"any": "\0"}},
    ],
)
async def test_a_wrong_assistant_is_refused_with_a_sentence(shared: Api, body: dict[str, Any]) -> None:
    check_problem(await shared.http.post("/assistants", json=body), 422, "invalid_request")


async def test_an_assistant_has_context_or_configurable_given_and_not_both(shared: Api) -> None:
    both = {"config": {"configurable": {"a": 1}}, "context": {"b": 1}}
    check_problem(await shared.http.post("/assistants", json={"graph_id": "steps", **both}), 400, "bad_request")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "search", {"limit": 0}),
        ("POST", "search", {"limit": 1001}),
        ("POST", "search", {"offset": -1}),
        ("POST", "search", {"offset": 2**70}),
        ("POST", "search", {"sort_by": "version"}),
        ("POST", "search", {"sort_order": "DESC"}),
        ("POST", "search", {"select": ["owner"]}),
        ("POST", "search", {"name": "x" * 257}),
        ("POST", "count", {"metadata": []}),
        ("POST", "steps/versions", {"limit": 1001}),
        ("POST", "steps/versions", {"offset": 2**63}),
        ("POST", "steps/latest", {}),
        ("POST", "steps/latest", {"version": 2**31}),
        ("PATCH", "steps", {"config": {"max_concurrency": -1}}),
        ("GET", "steps/graph?xray=0", None),
        ("GET", "steps/graph?xray=-1", None),
        ("GET", "steps/graph?xray=1001", None),
        ("GET", "steps/graph?xray=deep", None),
        ("GET", "steps/graph?xray=%C2%B2", None),
        ("GET", "steps/subgraphs?recurse=deep", None),
        ("DELETE", "steps?delete_threads=some", None),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_a_sentence(shared: Api, method: str, path: str, body: Any) -> None:
    check_problem(await shared.http.request(method, f"/assistants/{path}", json=body), 422, "invalid_request")


async def test_numbers_beyond_64_bits_reach_runs(shared: Api) -> None:
    body = (
        b'{"graph_id": "steps", "config": {"configurable": {"whole": 123456789012345678901234567890, "real": 1e308}}}'
    )
    answer = await shared.http.post("/assistants", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    expected = {"whole": pytest.approx(123456789012345678901234567890), "real": pytest.approx(1e308)}
    assert answer.json()["context"] == expected
    assert (await run_with(shared, answer.json()["assistant_id"])).spec.config == {"configurable": expected}
    assert (
        orjson.loads((await shared.http.get(f"/assistants/{answer.json()['assistant_id']}")).content) == answer.json()
    )


async def test_runs_go_on_when_their_assistant_is_deleted(api: Api) -> None:
    assistant_id = await made(api.http, config={"tags": ["t"]})
    running, waiting = await run_with(api, assistant_id), await run_with(api, assistant_id)
    attempt = await Attempt.begin(api.database, running.run_id)
    await api.sdk.assistants.delete(assistant_id)
    await attempt.succeed({"steps": [1]})
    await (await Attempt.begin(api.database, waiting.run_id)).succeed()
    for run in (running, waiting):
        ended = await api.sdk.runs.get(str(run.thread_id), str(run.run_id))
        assert (ended["status"], ended["assistant_id"]) == ("success", assistant_id)
    assert (await api.sdk.threads.get(str(running.thread_id)))["values"] == {"steps": [1]}


async def test_an_assistants_threads_go_with_it_if_that_is_asked_for(api: Api) -> None:
    assistant_id = await made(api.http)
    done, running, waiting, moved_on = [await run_with(api, assistant_id) for _ in range(4)]
    await (await Attempt.begin(api.database, done.run_id)).succeed()
    stale = await Attempt.begin(api.database, running.run_id)
    await (await Attempt.begin(api.database, moved_on.run_id)).succeed()
    await api.sdk.runs.create(str(moved_on.thread_id), "steps", input={})
    await api.sdk.assistants.delete(assistant_id, delete_threads=True)
    for run in (done, running, waiting):
        with pytest.raises(NotFoundError):
            await api.sdk.threads.get(str(run.thread_id))
        assert await get_run(api.database, run.run_id) is None
    assert (await api.sdk.threads.get(str(moved_on.thread_id)))["status"] == "busy"
    with pytest.raises(RunNotFound):
        await stale.succeed()


@pytest.fixture(scope="module")
async def guarded(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    async with fresh_database(postgres) as url, opened(ApiSettings(database_url=url, **HS256)) as api:
        yield api


async def test_another_owners_assistant_cannot_be_run_and_is_told_as_one_that_never_was(guarded: Api) -> None:
    alices = await made(guarded.http, ALICE)
    for path in ("/runs", "/runs/wait", "/runs/stream", "/threads/new/runs", "/run-task", "/invoke", "/chat"):
        answers = []
        for named in (alices, NOBODYS):
            more = {"message": "hi"} if path in ("/run-task", "/invoke", "/chat") else {"if_not_exists": "create"}
            answer = await guarded.http.post(path, json={"assistant_id": named, **more}, headers=BOB)
            check_problem(answer, 404, "assistant_not_found")
            answers.append(answer.json()["detail"].replace(named, ""))
        assert answers[0] == answers[1], path
    owned = await guarded.http.post("/runs", json={"assistant_id": alices, "input": {}}, headers=ALICE)
    assert owned.json()["assistant_id"] == alices
    by_admin = await guarded.http.post("/runs", json={"assistant_id": alices, "input": {}}, headers=ADMIN)
    assert by_admin.json()["assistant_id"] == alices


async def test_another_owners_assistants_are_in_no_search_and_an_admin_finds_all(guarded: Api) -> None:
    kind = {"kind": str(uuid4())}
    alices = await made(guarded.http, ALICE, metadata=kind, name="alices")
    bobs = await made(guarded.http, BOB, metadata=kind, name="bobs")
    for headers, expected in ((ALICE, [alices]), (BOB, [bobs]), (ADMIN, [bobs, alices])):
        for query in ({"metadata": kind}, {"metadata": kind, "graph_id": "steps"}, {"metadata": kind, "name": "S"}):
            answer = await guarded.http.post("/assistants/search", json=query, headers=headers)
            assert [found["assistant_id"] for found in answer.json()] == expected
            assert answer.headers["x-pagination-total"] == str(len(expected))
            counted = await guarded.http.post("/assistants/count", json=query, headers=headers)
            assert counted.json() == len(expected)


async def test_default_assistants_are_everybodys_and_only_an_admin_changes_them(guarded: Api) -> None:
    path = f"/assistants/{LANGGRAPH_DEV_STEPS}"
    for method, where, body in (
        ("PATCH", path, {"context": {"model": "mine"}}),
        ("POST", f"{path}/latest", {"version": 1}),
        ("DELETE", path, None),
        ("DELETE", f"{path}?delete_threads=true", None),
    ):
        check_problem(await guarded.http.request(method, where, json=body, headers=BOB), 403, "forbidden")
    check_problem(await guarded.http.delete(path, headers=ADMIN), 409, "conflict")
    changed = await guarded.http.patch(path, json={"context": {"model": "ours"}}, headers=ADMIN)
    assert changed.status_code == 200
    for headers in (ALICE, BOB):
        assert (await guarded.http.get(path, headers=headers)).json() == changed.json()
        run = await guarded.http.post("/runs", json={"assistant_id": "steps", "input": {}}, headers=headers)
        assert run.json()["kwargs"]["context"] == {"model": "ours"}
        taken = {"graph_id": "steps", "assistant_id": LANGGRAPH_DEV_STEPS}
        check_problem(await guarded.http.post("/assistants", json=taken, headers=headers), 409, "assistant_exists")


async def test_who_takes_a_graphs_id_before_it_is_there_does_not_stand_for_it(guarded: Api) -> None:
    taken = str(default_assistant_id("later"))
    await made(guarded.http, ALICE, assistant_id=taken, name="trap", context={"model": "trap"})
    await register(guarded.database, "later", STEPS)
    path = f"/assistants/{taken}"
    assert (await eventually(lambda: name_of(guarded, path, BOB))) == "later"
    for named in ("later", taken):
        run = await guarded.http.post("/runs", json={"assistant_id": named, "input": {}}, headers=BOB)
        assert run.json()["kwargs"]["context"] == {}
    for headers in (ALICE, BOB, ADMIN):
        listed = await guarded.http.post("/assistants/search", json={"limit": 1000}, headers=headers)
        assert [entry["name"] for entry in listed.json() if entry["assistant_id"] == taken] == ["later"]
    check_problem(await guarded.http.patch(path, json={"name": "mine"}, headers=ALICE), 403, "forbidden")
    changed = (await guarded.http.patch(path, json={"metadata": {"by": "admin"}}, headers=ADMIN)).json()
    assert (changed["name"], changed["version"], changed["context"]) == ("later", 2, {})
    assert (await guarded.http.get(path, headers=BOB)).json() == changed


async def name_of(api: Api, path: str, headers: Mapping[str, str]) -> str | None:
    answer = await api.http.get(path, headers=headers)
    return str(answer.json()["name"]) if answer.is_success else None


async def test_only_the_owners_threads_go_with_an_assistant(guarded: Api) -> None:
    alices = await made(guarded.http, ALICE)
    body = {"assistant_id": alices, "input": {}}
    hers = (await guarded.http.post("/runs", json=body, headers=ALICE)).json()["thread_id"]
    bobs = await guarded.http.post("/threads", json={"metadata": {"assistant_id": alices}}, headers=BOB)
    admins = (await guarded.http.post("/runs", json=body, headers=ADMIN)).json()["thread_id"]
    deleted = await guarded.http.delete(f"/assistants/{alices}?delete_threads=true", headers=ALICE)
    assert deleted.status_code == 204
    assert (await guarded.http.get(f"/threads/{hers}", headers=ADMIN)).status_code == 404
    assert (await guarded.http.get(f"/threads/{bobs.json()['thread_id']}", headers=BOB)).status_code == 200
    assert (await guarded.http.get(f"/threads/{admins}", headers=ADMIN)).status_code == 200
