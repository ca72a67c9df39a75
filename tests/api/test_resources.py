"""Threads through the official client; what operators and probes see."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError

from relayrun_api.services import Services
from relayrun_api.settings import ApiSettings
from relayrun_core.ids import former_thread_id
from tests.api.conftest import Api
from tests.api.play import Attempt


async def test_a_thread_is_created_read_patched_and_forgotten(api: Api) -> None:
    thread = await api.sdk.threads.create(metadata={"a": 1})
    thread_id = thread["thread_id"]
    assert (thread["status"], thread["metadata"], thread["values"], thread["interrupts"]) == (
        "idle",
        {"a": 1},
        None,
        {},
    )
    patched = await api.sdk.threads.update(thread_id, metadata={"b": 2})
    assert patched is not None
    assert patched["metadata"] == {"a": 1, "b": 2}
    assert await api.sdk.threads.update(thread_id, metadata={"c": 3}, return_minimal=True) is None
    assert (await api.sdk.threads.get(thread_id))["metadata"] == {"a": 1, "b": 2, "c": 3}
    await api.sdk.threads.delete(thread_id)
    with pytest.raises(NotFoundError):
        await api.sdk.threads.get(thread_id)


async def test_a_thread_may_be_called_by_a_name(api: Api) -> None:
    thread = await api.sdk.threads.create(thread_id="alice@example.com")
    assert thread["thread_id"] != str(former_thread_id(None, "alice@example.com"))
    assert await api.sdk.threads.get("alice@example.com") == await api.sdk.threads.get(thread["thread_id"])
    run = await api.sdk.runs.create("alice@example.com", "steps", input={})
    assert run["thread_id"] == thread["thread_id"]
    assert (await api.sdk.runs.get("alice@example.com", run["run_id"]))["run_id"] == run["run_id"]


async def test_a_thread_that_exists_is_a_conflict_unless_told_otherwise(api: Api) -> None:
    thread = await api.sdk.threads.create(metadata={"a": 1})
    with pytest.raises(ConflictError) as caught:
        await api.sdk.threads.create(thread_id=thread["thread_id"])
    assert caught.value.code == "thread_exists"
    same = await api.sdk.threads.create(thread_id=thread["thread_id"], if_exists="do_nothing")
    assert same == thread


async def test_threads_are_searched_by_metadata_status_and_ids(api: Api) -> None:
    one = await api.sdk.threads.create(metadata={"kind": "x"})
    two = await api.sdk.threads.create(metadata={"kind": "x", "more": True})
    await api.sdk.threads.create(metadata={"kind": "y"})
    await api.sdk.runs.create(two["thread_id"], "steps", input={})

    async def found(**query: object) -> list[str]:
        return [thread["thread_id"] for thread in await api.sdk.threads.search(**query)]  # type: ignore[arg-type]

    assert await found(metadata={"kind": "x"}) == [two["thread_id"], one["thread_id"]]
    assert await found(status="busy") == [two["thread_id"]]
    assert await found(ids=[one["thread_id"], str(uuid4())]) == [one["thread_id"]]
    assert await found(metadata={"kind": "x"}, limit=1, offset=1) == [one["thread_id"]]
    selected = await api.sdk.threads.search(ids=[one["thread_id"]], select=["thread_id", "status"])
    assert selected == [{"thread_id": one["thread_id"], "status": "idle"}]


async def test_a_busy_thread_is_deleted_with_its_run(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    await api.sdk.threads.delete(run["thread_id"])
    with pytest.raises(NotFoundError):
        await api.sdk.threads.get(run["thread_id"])


def list_runners(path: Path | None, **listing: object) -> None:
    assert path is not None
    path.write_bytes(orjson.dumps(listing))


async def test_status_names_every_part_and_the_queue(api: Api, settings: ApiSettings) -> None:
    runner = {"name": "default-0", "url": "http://127.0.0.1:1", "agent": "default", "graphs": ["steps"], "ready": True}
    list_runners(settings.runners_file, runners=[runner], desired=1, problems=[])
    running = await api.sdk.runs.create(None, "steps", input={})
    await Attempt.begin(api.database, UUID(running["run_id"]))
    await api.sdk.runs.create(running["thread_id"], "steps", input={})
    response = await api.http.get("/status")
    body = response.json()
    assert response.status_code == 200
    assert list(body) == ["status", "version", "time", "checks", "active_threads", "active_threads_by_agent", "queue"]
    checks = {name: check["status"] for name, check in body["checks"].items()}
    assert checks.pop("vector_store") in ("ok", "disabled")
    assert checks == {
        "database": "ok",
        "llm": "disabled",
        "kubernetes": "disabled",
        "operator": "disabled",
        "runners": "ok",
    }
    assert body["status"] == "ok"
    assert body["checks"]["runners"] == {"status": "ok", "ready": 1, "desired": 1}
    assert (body["active_threads"], body["active_threads_by_agent"]) == (1, {"default": 1})
    assert body["queue"]["length"] == 1
    assert body["queue"]["oldest_seconds"] >= 0


async def test_a_problem_of_the_runners_degrades_the_status(api: Api, settings: ApiSettings) -> None:
    runner = {"name": "default-0", "url": "http://127.0.0.1:1", "agent": "default", "graphs": [], "ready": True}
    list_runners(settings.runners_file, runners=[runner], desired=1, problems=["ImportError: no module named x"])
    body = (await api.http.get("/status")).json()
    assert body["status"] == "degraded"
    assert body["checks"]["runners"]["reason"] == "ImportError: no module named x"
    list_runners(settings.runners_file, runners=[], desired=1, problems=[])
    await api.sdk.runs.create(None, "steps", input={})
    body = (await api.http.get("/status")).json()
    assert (body["checks"]["runners"]["status"], body["queue"]["blocked"]) == ("down", "no runner is ready")


async def test_probes_and_greetings_answer(shared: Api) -> None:
    for path in ("/ok", "/info", "/healthz", "/readyz"):
        assert (await shared.http.get(path)).status_code == 200
    assert (await shared.http.get("/ok")).json() == {"ok": True, "services": {}}
    document = (await shared.http.get("/openapi.json")).json()
    summaries = [operation["summary"] for path in document["paths"].values() for operation in path.values()]
    assert all(" " in summary for summary in summaries)


async def test_the_liveness_probe_fails_when_the_pool_is_broken(api: Api) -> None:
    services: Services = api.app.state.services
    for database in (services.database, services.reads._database):
        database.broken = True
        answer = await api.http.get("/healthz")
        assert (answer.status_code, answer.json()["code"]) == (503, "pool_broken")
        database.broken = False
    assert (await api.http.get("/healthz")).status_code == 200


async def test_metrics_have_the_load_and_routes_but_no_ids(api: Api) -> None:
    run = await api.sdk.runs.create(None, "steps", input={})
    await api.sdk.threads.get(run["thread_id"])
    text = (await api.http.get("/metrics")).text
    assert 'relayrun_queued_runs{agent="default"} 1.0' in text
    assert "relayrun_sse_connections 0.0" in text
    assert 'relayrun_http_request_seconds_count{method="GET",route="/threads/{thread_id}",status="2xx"} 1.0' in text
    assert run["thread_id"] not in text
