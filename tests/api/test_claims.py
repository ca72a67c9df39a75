"""A client's claims of who it is reach no graph, and a name that is also a wildcard opens no namespace of others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.runs import RunSpec
from tests.api.access import bearer
from tests.api.authored import Authored, as_name, authored
from tests.api.test_crons import fired
from tests.runner.processes import write_agent
from tests.support.postgres import fresh_database
from tests.support.runner import TOKEN

# The handlers of docs/how-to/authentication.md.
AUTH = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def authenticate(authorization):
    return {"identity": authorization.split()[1]}

@auth.on
async def own(ctx, value):
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}

@auth.on.store
async def scoped(ctx, value):
    value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))
"""
GRAPH = """
from typing import Any, TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    messages: list[Any]
    seen: dict[str, Any]

drawn = []

def look(state, config, runtime):
    given = config["configurable"]
    user = runtime.server_info.user if runtime.server_info else None
    return {"seen": {
        "context": runtime.context,
        "claims": {key: str(value) for key, value in given.items() if key.startswith("langgraph_auth_")},
        "labels": {key: value for key, value in config["metadata"].items() if key.startswith("langgraph_auth_")},
        "user": user.identity if user else None,
        "kept": given.get("kept"),
    }}

def whoami(config, runtime):
    user = (config.get("configurable") or {}).get("langgraph_auth_user")
    builder = StateGraph(State)
    # The name tells whom the factory was called for.
    builder.add_node("look", look)
    name = "for " + str(getattr(runtime.user, "identity", runtime.user)) + " " + str(user)
    builder.add_node(name.replace(":", "").replace("|", ""), lambda state: {})
    builder.add_edge(START, "look")
    return builder.compile()
"""
CLAIMS: dict[str, Any] = {
    "langgraph_auth_user": {"identity": "root", "permissions": ["admin"]},
    "langgraph_auth_user_id": "root",
    "langgraph_auth_permissions": ["admin"],
    "langgraph_auth_of_tomorrow": "root",
}
FORGED = {**CLAIMS, "kept": "yes"}


@pytest.fixture(scope="module")
async def place(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Authored]:
    folder = tmp_path_factory.mktemp("claims")
    keys = {
        "graphs": {"whoami": "./agent.py:whoami"},
        "auth": {"path": "./auth.py:auth"},
        "http": {"configurable_headers": {"includes": ["*"]}},
    }
    config = write_agent(folder / "agent", GRAPH, **keys)
    (config.parent / "auth.py").write_text(AUTH)
    async with fresh_database(postgres) as url, authored(url, folder, config) as place:
        yield place


async def seen(place: Authored, run: dict[str, Any], name: str = "ann") -> dict[str, Any]:
    """What the graph was given; the run is executed."""
    await place.executed(run["run_id"])
    thread = await place.ask("GET", f"/threads/{run['thread_id']}", name)
    found: dict[str, Any] = thread["values"]["seen"]
    return found


def check(found: dict[str, Any], *, kept: bool = True) -> None:
    ours = {"langgraph_auth_user": "User('ann')", "langgraph_auth_user_id": "ann", "langgraph_auth_permissions": "[]"}
    assert (found["user"], found["claims"]) == ("ann", ours)
    assert not [key for key in found["context"] or {} if key.startswith("langgraph_auth_")]
    assert all(ours[name] == value for name, value in found["labels"].items())
    assert found["kept"] == ("yes" if kept else None)


RUNS: list[dict[str, Any]] = [
    {"context": FORGED},
    {"config": {"configurable": FORGED}},
    {"config": {"configurable": FORGED, "metadata": CLAIMS}, "metadata": CLAIMS},
    {"config": {"metadata": CLAIMS}, "metadata": CLAIMS, "context": FORGED},
    {"config": {**CLAIMS, "configurable": FORGED}},
]


@pytest.mark.parametrize("body", RUNS)
async def test_a_run_is_its_callers_whatever_its_body_claims(place: Authored, body: dict[str, Any]) -> None:
    run = {"assistant_id": "whoami", "input": {}, **body}
    thread = (await place.ask("POST", "/threads", "ann", {"graph_id": "whoami", "metadata": CLAIMS}))["thread_id"]
    edit = {"values": {"messages": []}, "as_node": "look", "config": {"configurable": FORGED}, "checkpoint": FORGED}
    await place.ask("POST", f"/threads/{thread}/state", "ann", edit)
    check(await seen(place, await place.ask("POST", f"/threads/{thread}/runs", "ann", run)))
    [batched] = await place.ask("POST", "/runs/batch", "ann", [run])
    check(await seen(place, batched))
    kept = await place.ask("GET", f"/threads/{thread}/runs", "ann")
    for config in (kept[0]["kwargs"]["config"]["configurable"], kept[0]["kwargs"]["context"]):
        assert not [key for key in config if key.startswith("langgraph_auth_")]


async def test_an_assistant_or_a_cron_claims_nothing_either(place: Authored) -> None:
    for settings in ({"context": FORGED}, {"config": {"configurable": FORGED}}):
        made = await place.ask("POST", "/assistants", "ann", {"graph_id": "whoami", **settings})
        assert not [key for key in made["context"] if key.startswith("langgraph_auth_")]
        name = f"/assistants/{made['assistant_id']}"
        changed = await place.ask("PATCH", name, "ann", settings)
        assert not [key for key in changed["config"]["configurable"] if key.startswith("langgraph_auth_")]
        run = {"assistant_id": made["assistant_id"], "input": {}}
        check(await seen(place, await place.ask("POST", "/runs", "ann", run)))
        # Nor is a factory told so, when somebody only looks at the graph; nor by what versions before kept: it is told
        # who looks.
        row = "UPDATE assistants SET config = jsonb_build_object('configurable', %s::jsonb) WHERE assistant_id = %s"
        forged = '{"langgraph_auth_user": {"identity": "root"}}'
        await place.api.database.execute(row, (forged, UUID(made["assistant_id"])))
        drawing = await place.ask("GET", f"{name}/graph", "ann")
        assert [node["id"] for node in drawing["nodes"] if str(node["id"]).startswith("for ")] == [
            "for ann User('ann')"
        ]
        cron = {"assistant_id": "whoami", "schedule": "@yearly", "input": {}, "on_run_completed": "keep", **settings}
        there = await fired(place.api, await place.ask("POST", "/runs/crons", "ann", cron))
        row = await place.api.database.fetch_one("SELECT thread_id FROM runs WHERE run_id = %s", (there.last_run_id,))
        assert row is not None
        started = {"run_id": str(there.last_run_id), "thread_id": str(row["thread_id"])}
        check(await seen(place, started))


async def test_a_header_claims_nothing_either(place: Authored) -> None:
    headers = {**as_name("ann"), "langgraph_auth_user": "root", "langgraph_auth_user_id": "root", "kept": "yes"}
    body = {"assistant_id": "whoami", "input": {}}
    answer = await place.api.http.post("/runs", json=body, headers=headers)
    check(await seen(place, answer.json()))


async def test_nor_does_an_agentrun(place: Authored) -> None:
    """Whoever may create those has power over threads; who a run is for, only authentication says."""
    run_id, thread_id = uuid4(), uuid4()
    spec = RunSpec(input={}, context=FORGED, config={"configurable": FORGED}).model_dump(mode="json")
    create = {"thread_id": str(thread_id), "owner": "ann", "agent": "default", "spec": spec}
    body = {"attempt": 1, "graph": "whoami", "create": create}
    async with httpx.AsyncClient(base_url=place.runner.url, headers=bearer(TOKEN)) as world:
        assert (await world.put(f"/runs/{run_id}", json=body)).status_code == 202
    await place.runner.reported(run_id, 1, "Finished")
    row = await place.api.database.fetch_one("SELECT values FROM threads WHERE thread_id = %s", (thread_id,))
    assert row is not None
    found = row["values"]["seen"]
    assert (found["user"], found["claims"], found["context"]) == (None, {}, {"kept": "yes"})


# Names that mean something in a pattern


HOSTILE = ["*", "%", "_", ".*", "[^.]+", "mona|nora", "mona.notes", "notes.mona", "mona\\", ""]


async def test_a_name_is_no_wildcard_in_the_store(place: Authored) -> None:
    for name in ("mona", "nora", "notes"):
        item = {"namespace": ["notes", "private"], "key": "k", "value": {"of": name}}
        await place.ask("PUT", "/store/items", name, item)
    for name in HOSTILE[:-1]:
        for query in (
            {},
            {"prefix": ["*"]},
            {"prefix": ["notes"]},
            {"suffix": ["private"]},
            {"suffix": ["*"]},
            {"prefix": ["*", "private"], "suffix": ["notes", "private"], "literal_prefix": 0, "literal_suffix": 0},
        ):
            answer = await place.api.http.post("/store/namespaces", json=query, headers=as_name(name))
            assert answer.status_code in (200, 422), answer.text
            assert answer.json().get("namespaces", []) == [], (name, query)
        for prefix in ([], ["notes"], ["notes", "private"], ["private"]):
            search = {"namespace_prefix": prefix}
            answer = await place.api.http.post("/store/items/search", json=search, headers=as_name(name))
            assert answer.json().get("items", []) == [], (name, prefix)
        for namespace in ("notes.private", "private", "mona.notes.private"):
            answer = await place.api.http.get(f"/store/items?namespace={namespace}&key=k", headers=as_name(name))
            assert answer.status_code == 422 or answer.json() is None, (name, namespace, answer.text)


async def test_who_is_called_so_has_a_namespace_of_its_own_and_others_their_wildcards(place: Authored) -> None:
    for name in ("*", "olga"):
        for label in ("a", "b"):
            item = {"namespace": [label, "c"], "key": "k", "value": {"of": name}}
            await place.ask("PUT", "/store/items", name, item)
        own = [[name, "a", "c"], [name, "b", "c"]]
        assert (await place.ask("POST", "/store/namespaces", name, {}))["namespaces"] == own
        assert (await place.ask("POST", "/store/namespaces", name, {"prefix": ["a"]}))["namespaces"] == own[:1]
    wild = await place.ask("POST", "/store/namespaces", "olga", {"prefix": ["*", "c"], "suffix": ["*"]})
    assert wild["namespaces"] == [["olga", "a", "c"], ["olga", "b", "c"]]
    assert (await place.ask("POST", "/store/namespaces", "*", {"prefix": ["*", "c"]}))["namespaces"] == []
