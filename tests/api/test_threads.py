"""Threads over HTTP: made, found, copied, pruned, kept for as long as somebody says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    InternalServerError,
    UnprocessableEntityError,
)
from pydantic import SecretStr

from relayrun_api.settings import ApiSettings
from relayrun_core.db.threads import create_thread
from relayrun_core.runs import PendingInterrupt
from tests.api.conftest import Api, opened
from tests.api.play import Attempt, ai, human
from tests.api.runnerdouble import RunnerDouble, runner_double
from tests.support.waiting import eventually

QUESTION = PendingInterrupt("c" * 32, "ok?", "task-1")
SUPERSTEPS = [{"updates": [{"values": {"steps": [1]}, "as_node": "a"}]}]


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    return settings.model_copy(update={"runner_token": SecretStr("secret")})


@pytest.fixture
async def double(settings: ApiSettings) -> AsyncIterator[RunnerDouble]:
    async with runner_double(settings) as double:
        yield double


async def ran(api: Api, *, thread_id: str | None = None, **body: Any) -> tuple[str, str]:
    """A thread and its run that answered."""
    run: Any = await api.sdk.runs.create(thread_id, "talk", input={}, **body)
    attempt = await Attempt.begin(api.database, run["run_id"])
    await attempt.succeed({"messages": [human("hi", "h1"), ai("hello", "m1")]})
    return run["thread_id"], run["run_id"]


async def ids_of(api: Api, **query: Any) -> list[str]:
    return [thread["thread_id"] for thread in await api.sdk.threads.search(**query)]


def left_of(thread: Any) -> timedelta:
    """How long a thread stays from its last update on."""
    return datetime.fromisoformat(thread["ttl"]["expires_at"]) - datetime.fromisoformat(thread["updated_at"])


async def test_a_thread_says_how_long_it_is_kept_when_asked(shared: Api) -> None:
    threads = shared.sdk.threads
    made = await threads.create(ttl=90)
    assert "ttl" not in await threads.get(made["thread_id"])
    found: Any = await threads.get(made["thread_id"], include=["ttl"])
    assert (found["ttl"]["strategy"], found["ttl"]["ttl_minutes"]) == ("delete", 90)
    assert left_of(found) == timedelta(minutes=90)
    patched: Any = await threads.update(made["thread_id"], metadata={}, ttl={"ttl": 0.5, "strategy": "keep_latest"})
    assert patched["updated_at"] > made["updated_at"]
    found = await threads.get(made["thread_id"], include=["metadata", " ttl"])
    assert (found["ttl"]["strategy"], left_of(found)) == ("keep_latest", timedelta(seconds=30))
    unchanged: Any = await threads.update(made["thread_id"], metadata={"seen": 1})
    assert unchanged["metadata"] == {"seen": 1}
    found = await threads.get(made["thread_id"], include=["ttl"])
    assert (found["ttl"]["ttl_minutes"], found["updated_at"]) == (0.5, unchanged["updated_at"])
    forever: Any = await threads.get((await threads.create())["thread_id"], include=["ttl"])
    assert forever["ttl"] is None


async def test_a_thread_that_says_nothing_is_kept_as_the_settings_say(settings: ApiSettings) -> None:
    async with opened(settings.model_copy(update={"thread_ttl_minutes": 30.0})) as api:
        made = await api.sdk.threads.create()
        found: Any = await api.sdk.threads.get(made["thread_id"], include=["ttl"])
        assert (found["ttl"]["strategy"], left_of(found)) == ("delete", timedelta(minutes=30))


@pytest.mark.parametrize(
    "ttl", [5, {"ttl": 0}, {"ttl": -1}, {"ttl": 1e300}, {"ttl": "soon"}, {"ttl": None}, {}, {"ttl": 1, "strategy": "x"}]
)
async def test_a_time_to_live_that_cannot_be_is_refused(shared: Api, ttl: Any) -> None:
    thread = await shared.sdk.threads.create()
    for method, path in (("POST", "/threads"), ("PATCH", f"/threads/{thread['thread_id']}")):
        answer = await shared.http.request(method, path, json={"ttl": ttl})
        assert (answer.status_code, "#/ttl" in answer.json()["detail"]) == (422, True)


async def test_the_state_is_as_new_as_its_last_run_and_not_as_its_metadata(shared: Api) -> None:
    thread_id, _ = await ran(shared)
    after_run: Any = await shared.sdk.threads.get(thread_id)
    assert after_run["state_updated_at"] == after_run["updated_at"] > after_run["created_at"]
    patched: Any = await shared.sdk.threads.update(thread_id, metadata={"k": 1})
    assert patched["state_updated_at"] == after_run["state_updated_at"] < patched["updated_at"]
    run = await shared.sdk.runs.create(thread_id, "talk", input={})
    started: Any = await shared.sdk.threads.get(thread_id)
    assert started["state_updated_at"] == after_run["state_updated_at"]
    await (await Attempt.begin(shared.database, run["run_id"])).succeed()
    finished: Any = await shared.sdk.threads.get(thread_id)
    assert finished["state_updated_at"] > started["updated_at"]


async def test_search_sorts_by_each_field_both_ways(api: Api) -> None:
    first, second, third = [(await api.sdk.threads.create())["thread_id"] for _ in range(3)]
    await ran(api, thread_id=second)  # its state is the newest
    await api.sdk.threads.update(first, metadata={"k": 1})  # it was updated last
    run = await api.sdk.runs.create(third, "talk", input={})
    await (await Attempt.begin(api.database, run["run_id"])).fail("ValueError", "boom")
    await api.database.execute("UPDATE threads SET updated_at = now() WHERE thread_id = %s", (first,))
    expected = {
        "created_at": [first, second, third],
        "updated_at": [second, third, first],
        "state_updated_at": [first, second, third],
        "thread_id": sorted((first, second, third)),
        "status": [third, first, second],  # error, idle, idle; of equal ones the one used last first
    }
    for field, ascending in expected.items():
        sort_by: Any = field
        assert await ids_of(api, sort_by=sort_by, sort_order="asc") == ascending, field
        assert await ids_of(api, sort_by=sort_by, sort_order="desc") == ascending[::-1], field
        assert await ids_of(api, sort_by=sort_by) == ascending[::-1], field
    assert await ids_of(api) == expected["updated_at"][::-1]


async def test_search_pages_and_says_whether_there_is_more(api: Api) -> None:
    made = [(await api.sdk.threads.create(metadata={"n": n}))["thread_id"] for n in range(3)]
    pages: list[httpx.Response] = [
        await api.http.post("/threads/search", json={"limit": 2, "offset": offset}) for offset in (0, 2, 4)
    ]
    assert [[thread["thread_id"] for thread in page.json()] for page in pages] == [made[:0:-1], made[:1], []]
    assert [page.headers.get("X-Pagination-Next") for page in pages] == ["2", None, None]
    assert [page.headers["X-Pagination-Total"] for page in pages] == ["3", "3", "4"]


async def test_search_takes_names_in_place_of_ids(shared: Api) -> None:
    named = await shared.sdk.threads.create(thread_id="my diary")
    other = await shared.sdk.threads.create()
    assert await ids_of(shared, ids=["my diary", "not yet", other["thread_id"]]) == [
        other["thread_id"],
        named["thread_id"],
    ]
    for ids in (["x"] * 1001, ["x" * 257], [""], "x", [1]):
        assert (await shared.http.post("/threads/search", json={"ids": ids})).status_code == 422


async def test_search_gives_parts_of_threads(shared: Api) -> None:
    thread_id, _ = await ran(shared)
    await shared.sdk.threads.update(thread_id, metadata={"part": {"of": ["a", "b"]}})
    paths = {
        "last": "values.messages[-1].content",
        "first": "values.messages[0].type",
        "whole": "metadata.part",
        "deep": "metadata.part.of[1]",
        "none": "values.messages[7].content",
        "odd": "metadata.part[0].of",
        "beyond": "values.messages[-3]",
    }
    found = await shared.sdk.threads.search(
        metadata={"part": {"of": ["b"]}}, select=["thread_id", "status"], extract=paths
    )
    extracted = {
        "last": "hello",
        "first": "human",
        "whole": {"of": ["a", "b"]},
        "deep": "b",
        "none": None,
        "odd": None,
        "beyond": None,
    }
    assert found == [{"thread_id": thread_id, "status": "idle", "extracted": extracted}]


@pytest.mark.parametrize(
    "extract",
    [
        {"a": "thread_id"},
        {"a": ""},
        {"a": "values" + ".x" * 300},
        {"1a": "values"},
        {"a b": "values"},
        {"status": "values"},
        {"a": 1},
        ["values"],
        {f"a{n}": "values" for n in range(11)},
    ],
)
async def test_parts_that_cannot_be_are_refused(shared: Api, extract: Any) -> None:
    answer = await shared.http.post("/threads/search", json={"extract": extract})
    assert (answer.status_code, "#/extract" in answer.json()["detail"]) == (422, True)


async def test_count_counts_what_search_finds(api: Api) -> None:
    thread_id, _ = await ran(api)
    await api.sdk.threads.create(metadata={"k": [1, 2]})
    count = api.sdk.threads.count
    assert await count() == 2
    assert await count(metadata={"k": [2]}) == 1
    assert await count(status="idle", values={"messages": [{"id": "m1"}]}) == 1
    assert await count(status="busy") == 0
    assert await ids_of(api, values={"messages": [{"id": "m1"}]}) == [thread_id]


async def test_pruning_forgets_threads_by_their_names(api: Api) -> None:
    await api.sdk.threads.create(thread_id="old")
    busy = await api.sdk.runs.create("busy", "talk", input={}, if_not_exists="create")
    await api.sdk.runs.create("busy too", "talk", input={}, if_not_exists="create")
    pruned = await api.sdk.threads.prune(["old", "old", "busy too", "never was", str(uuid4())])
    assert pruned == {"pruned_count": 2}
    for gone in ("old", "busy too"):
        with pytest.raises(UnprocessableEntityError, match="not found"):
            await api.sdk.threads.get(gone)
    assert await api.sdk.threads.prune(["busy"], strategy="keep_latest") == {"pruned_count": 0}
    assert (await api.sdk.threads.get("busy"))["status"] == "busy"
    await (await Attempt.begin(api.database, busy["run_id"])).succeed({"messages": []})
    assert await api.sdk.threads.prune(["busy"], strategy="keep_latest") == {"pruned_count": 1}
    assert (await api.sdk.threads.get("busy"))["values"] == {"messages": []}
    assert await api.sdk.threads.prune([]) == {"pruned_count": 0}
    for body in ({}, {"thread_ids": "x"}, {"thread_ids": ["x"] * 1001}, {"thread_ids": [], "strategy": "all"}):
        assert (await api.http.post("/threads/prune", json=body)).status_code == 422


async def test_a_copy_is_a_thread_of_its_own(api: Api) -> None:
    await api.sdk.threads.create(thread_id="mine", metadata={"k": 1}, ttl=60)
    run = await api.sdk.runs.create("mine", "talk", input={})
    values = {"messages": [human("hi", "h1")]}
    await (await Attempt.begin(api.database, run["run_id"])).pause(values, QUESTION)
    copy: Any = await api.sdk.threads.copy("mine")
    source: Any = await api.sdk.threads.get("mine")
    changed = {"thread_id", "name", "created_at", "updated_at", "state_updated_at"}
    assert {key for key in copy if copy[key] != source[key]} == changed
    assert (copy["status"], copy["values"], copy["metadata"]["k"]) == ("interrupted", values, 1)
    kept: Any = await api.sdk.threads.get(copy["thread_id"], include=["ttl"])
    assert kept["ttl"]["ttl_minutes"] == 60
    assert await api.sdk.runs.list(copy["thread_id"]) == []
    resumed = await api.sdk.runs.create(copy["thread_id"], "talk", command={"resume": "yes"})
    await (await Attempt.begin(api.database, resumed["run_id"])).succeed({})
    assert (await api.sdk.threads.get("mine"))["status"] == "interrupted"
    await api.sdk.threads.delete("mine")
    assert (await api.sdk.threads.get(copy["thread_id"]))["status"] == "idle"
    with pytest.raises(BadRequestError, match="not found"):
        await api.sdk.threads.copy("mine")


async def test_supersteps_are_applied_by_a_runner_which_makes_the_thread(api: Api, double: RunnerDouble) -> None:
    async def create(**more: Any) -> Any:
        return await api.sdk.threads.create(supersteps=SUPERSTEPS, graph_id="steps", **more)

    # The double makes nothing itself.
    made = await create(thread_id="given", metadata={"k": 1}, ttl=5)
    [asked] = double.asked
    assert asked["path"] == f"/threads/{made['thread_id']}"
    assert asked["body"] == {
        "graph": "steps",
        "supersteps": [{"updates": [{"values": {"steps": [1]}, "command": None, "as_node": "a"}]}],
        "owner": None,
        "name": "given",
        "metadata": {"k": 1, "graph_id": "steps"},
        "ttl_minutes": 5,
        "ttl_strategy": "delete",
    }
    with pytest.raises(ConflictError):
        await create(thread_id="given")
    assert (await create(thread_id="given", if_exists="do_nothing"))["thread_id"] == made["thread_id"]
    assert len(double.asked) == 1
    # Somebody else was quicker.
    double.created = False
    await create()
    await create(thread_id="quick")
    quick = uuid4()
    double.created = False
    await create_thread(api.database, quick)
    with pytest.raises(ConflictError):
        await create(thread_id=str(quick))


async def test_supersteps_that_cannot_be_leave_no_thread(api: Api, double: RunnerDouble) -> None:
    update = {"values": {}, "as_node": "a"}
    for body in (
        {"supersteps": SUPERSTEPS},
        {"supersteps": SUPERSTEPS, "graph_id": "nothing"},
        {"supersteps": SUPERSTEPS, "metadata": {"graph_id": 7}},
        {"supersteps": [{"updates": []}], "graph_id": "steps"},
        {"supersteps": [{}], "graph_id": "steps"},
        {"supersteps": [7], "graph_id": "steps"},
        {"supersteps": [{"updates": [{"values": {}}]}], "graph_id": "steps"},
        {"supersteps": SUPERSTEPS * 1001, "graph_id": "steps"},
        {"supersteps": [{"updates": [update] * 501}] * 2, "graph_id": "steps"},
    ):
        answer = await api.http.post("/threads", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), body
    assert double.asked == []
    double.refusal = (400, {"reason": "Invalid", "message": "Node a does not exist"})
    with pytest.raises(UnprocessableEntityError, match="Node a does not exist"):
        await api.sdk.threads.create(supersteps=SUPERSTEPS, graph_id="steps")
    assert await api.sdk.threads.count() == 0


async def test_supersteps_need_a_runner(api: Api) -> None:
    with pytest.raises(InternalServerError) as caught:
        await api.sdk.threads.create(supersteps=SUPERSTEPS, graph_id="steps")
    assert (caught.value.status_code, caught.value.code) == (503, "no_runner")
    assert await api.sdk.threads.count() == 0


async def test_the_thread_of_a_stateless_run_is_there_for_a_while_and_then_goes(settings: ApiSettings) -> None:
    brief = settings.model_copy(update={"thread_sweep_seconds": 0.05, "stateless_keep_seconds": 3600.0})
    async with opened(brief) as api:
        thread_id, run_id = await ran(api)
        kept, _ = await ran(api, on_completion="keep")
        running = await api.sdk.runs.create(None, "talk", input={})
        await Attempt.begin(api.database, running["run_id"])
        assert (await api.sdk.runs.join(thread_id, run_id))["messages"][1]["id"] == "m1"  # type: ignore[call-overload]
        told = api.sdk.runs.join_stream(thread_id, run_id, last_event_id="-")
        assert [part.event async for part in told] == ["metadata"]
        past = "now() - interval '2 hours'"
        await api.database.execute(f"UPDATE runs SET finished_at = {past} WHERE finished_at IS NOT NULL")
        await api.database.execute(f"UPDATE threads SET updated_at = {past}")

        async def gone() -> bool:
            return not (await api.http.get(f"/threads/{thread_id}")).is_success

        assert await eventually(gone)
        assert set(await ids_of(api)) == {kept, running["thread_id"]}
        assert 'relayrun_active_threads{agent="default"} 1.0' in (await api.http.get("/metrics")).text
        assert (await api.http.get("/status")).json()["active_threads"] == 1


async def test_the_sync_client_can_do_it_all(shared: Api) -> None:
    def use(client: SyncLangGraphClient) -> None:
        threads = client.threads
        made = threads.create(metadata={"sync": True}, ttl=60)
        thread_id = made["thread_id"]
        assert threads.get(thread_id, include=["ttl"])["ttl"]["ttl_minutes"] == 60  # type: ignore[typeddict-item]
        assert threads.update(thread_id, metadata={"k": 1}, return_minimal=True) is None
        assert threads.count(metadata={"sync": True}) == 1
        assert threads.search(metadata={"sync": True}, select=["metadata"]) == [{"metadata": {"sync": True, "k": 1}}]
        copy: Any = threads.copy(thread_id)
        assert threads.get_state(copy["thread_id"])["values"] == {}
        assert threads.get_history(copy["thread_id"]) == []
        assert threads.prune([thread_id, copy["thread_id"]]) == {"pruned_count": 2}
        threads.create(thread_id=thread_id)
        threads.delete(thread_id)

    with get_sync_client(url=shared.url, api_key=None) as client:
        await asyncio.to_thread(use, client)


async def test_ids_that_are_no_ids_are_names(shared: Api) -> None:
    for name in ("a name", "😀?#%", "x" * 256):
        made = await shared.sdk.threads.create(thread_id=name)
        assert (await shared.sdk.threads.get(name))["thread_id"] == made["thread_id"] != name
        copy: Any = await shared.sdk.threads.copy(name)
        assert UUID(copy["thread_id"]) != UUID(made["thread_id"])
        assert await shared.sdk.threads.prune([name]) == {"pruned_count": 1}
