"""States and histories: what is asked of runners, and what is said when none is up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from langgraph_sdk.errors import BadRequestError, ConflictError, InternalServerError
from pydantic import SecretStr

from relayrun_api.settings import ApiSettings
from relayrun_core.runs import Head, PendingInterrupt
from tests.api.conftest import Api
from tests.api.play import Attempt, ai, human
from tests.api.runnerdouble import runner_double

BUILT = "default/steps@1"
QUESTION = PendingInterrupt("c" * 32, "ok?", "task-1")
ASKED = {"id": QUESTION.id, "value": "ok?"}


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    return settings.model_copy(update={"runner_token": SecretStr("secret")})


async def finished_thread(api: Api, graph: str = "steps") -> str:
    run = await api.sdk.runs.create(None, graph, input={})
    attempt = await Attempt.begin(api.database, UUID(run["run_id"]))
    await attempt.pause({"steps": [1]}, QUESTION)
    return run["thread_id"]


async def test_state_and_history_are_asked_of_a_runner_that_is_up(api: Api, settings: ApiSettings) -> None:
    thread_id = await finished_thread(api)
    async with runner_double(settings):
        for _ in range(2):  # whichever runner's turn it is
            state: Any = await api.sdk.threads.get_state(thread_id, subgraphs=True)
            assert state["path"] == f"/threads/{thread_id}/state"
            assert state["query"] == {"graph": "steps", "subgraphs": "true"}
        at: Any = await api.sdk.threads.get_state(thread_id, checkpoint_id="c1")
        assert at["query"] == {"graph": "steps", "subgraphs": "false", "checkpoint_id": "c1"}
        at = await api.sdk.threads.get_state(thread_id, checkpoint={"checkpoint_id": "c1", "checkpoint_ns": "in"})  # type: ignore[typeddict-item]
        assert at["query"] == {"graph": "steps", "subgraphs": "false", "checkpoint_id": "c1", "checkpoint_ns": "in"}
        history: Any = await api.sdk.threads.get_history(thread_id, limit=3, before="c2", metadata={"step": 1})
        assert history["path"] == f"/threads/{thread_id}/history"
        assert history["body"] == {"graph": "steps", "limit": 3, "before": "c2", "metadata": {"step": 1}}
        updated: Any = await api.sdk.threads.update_state(thread_id, {"steps": [2]}, as_node="a")
        assert UUID(updated["body"].pop("edit_id"))
        assert updated["body"] == {"graph": "steps", "values": {"steps": [2]}, "as_node": "a"}
        by_get = await api.http.get(f"/threads/{thread_id}/history", params={"limit": 2})
        assert by_get.json()["body"] == {"graph": "steps", "limit": 2}


def head(thread_id: str, made_by: str | None = BUILT, **more: Any) -> Head:
    """As a finish keeps it."""
    checkpoint = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": "c1"}
    task = {
        "id": "task-1", "name": "ask", "path": ["__pregel_pull", "ask"], "error": None, "interrupts": [ASKED],
        "checkpoint": None, "state": None, "result": None,
    }  # fmt: skip
    state = {
        "next": ["ask"], "tasks": [task | more], "metadata": {"step": 1, "source": "loop"},
        "created_at": "2026-01-01T00:00:00+00:00", "checkpoint": checkpoint, "parent_checkpoint": None,
        "interrupts": [ASKED], "checkpoint_id": "c1", "parent_checkpoint_id": None,
    }  # fmt: skip
    return Head(orjson.dumps(state), made_by)


async def paused_thread(api: Api, made_by: str | None = BUILT, **more: Any) -> tuple[str, bytes]:
    """A thread whose newest state is kept, and that state."""
    run = await api.sdk.runs.create(None, "steps", input={})
    kept, values = head(run["thread_id"], made_by, **more), {"zz": 1.0, "steps": [1]}
    await (await Attempt.begin(api.database, UUID(run["run_id"]))).pause(values, QUESTION, head=kept)
    return run["thread_id"], b'{"values":' + orjson.dumps(values) + b"," + kept.state[1:]


async def state_of(api: Api, thread_id: str, **params: Any) -> httpx.Response:
    return await api.http.get(f"/threads/{thread_id}/state", params=params)


async def test_the_newest_state_is_told_without_a_runner(api: Api, settings: ApiSettings) -> None:
    thread_id, kept = await paused_thread(api)
    for params in ({}, {"subgraphs": "true"}):
        answer = await state_of(api, thread_id, **params)
        assert (answer.status_code, answer.content) == (200, kept)
    by_checkpoint = await api.http.post(f"/threads/{thread_id}/state/checkpoint", json={"checkpoint": {}})
    assert by_checkpoint.content == kept
    async with runner_double(settings) as double:
        assert (await state_of(api, thread_id)).content == kept
        assert not double.asked
    for asked in (api.sdk.threads.get_history(thread_id), api.sdk.threads.get_state(thread_id, checkpoint_id="c")):
        with pytest.raises(InternalServerError) as caught:
            await asked
        assert (caught.value.status_code, caught.value.code) == (503, "no_runner")


async def test_what_another_would_show_otherwise_is_asked_for(api: Api, settings: ApiSettings) -> None:
    inner = {"checkpoint": {"thread_id": "t", "checkpoint_ns": "ask:task-1"}}
    threads = [await paused_thread(api, by) for by in (None, "default/steps@0")]
    paused_inside, _ = await paused_thread(api, **inner)
    async with runner_double(settings) as double:
        for thread_id, _ in threads:
            assert (await state_of(api, thread_id)).json()["path"] == f"/threads/{thread_id}/state"
        assert (await state_of(api, paused_inside, subgraphs="true")).json()["query"]["subgraphs"] == "true"
        assert len(double.asked) == 3
    settings.runners_file.write_bytes(b"[]")  # type: ignore[union-attr]
    for thread_id, kept in threads:
        said = (await state_of(api, thread_id)).json()
        assert said == orjson.loads(kept) | {"metadata": {"step": 1, "source": "last_finish"}}
    assert (await state_of(api, paused_inside, subgraphs="true")).status_code == 503


async def test_of_a_busy_thread_the_last_finish_is_told_and_marked_when_no_runner_is_up(
    api: Api, settings: ApiSettings
) -> None:
    thread_id, kept = await paused_thread(api)
    await api.sdk.runs.create(thread_id, "steps", command={"resume": "yes"})
    async with runner_double(settings):
        assert (await state_of(api, thread_id)).json()["path"] == f"/threads/{thread_id}/state"
    settings.runners_file.write_bytes(b"[]")  # type: ignore[union-attr]
    said = (await state_of(api, thread_id)).json()
    assert said == orjson.loads(kept) | {"metadata": {"step": 1, "source": "last_finish"}}


async def test_without_a_runner_nothing_is_made_up(api: Api) -> None:
    thread_id = await finished_thread(api)  # by a runner of a version that keeps no states
    answer = await state_of(api, thread_id)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["code"] == "no_runner"
    run = await api.sdk.runs.create(None, "steps", input={})
    first = await api.sdk.threads.get_state(run["thread_id"])
    assert (first["values"], first["next"], first["metadata"]) == ({}, [], {"source": "last_finish"})


async def test_a_thread_without_a_run_has_an_empty_state(api: Api) -> None:
    thread = await api.sdk.threads.create()
    state = await api.sdk.threads.get_state(thread["thread_id"])
    assert (state["values"], state["next"], state["checkpoint"]) == ({}, [], None)
    assert await api.sdk.threads.get_history(thread["thread_id"]) == []
    with pytest.raises(BadRequestError):
        await api.sdk.threads.update_state(thread["thread_id"], {"steps": []})


async def test_what_a_runner_refuses_is_passed_on_as_ours(api: Api, settings: ApiSettings) -> None:
    thread_id = await finished_thread(api)
    async with runner_double(settings) as double:
        double.refusal = (409, {"reason": "ThreadBusy", "message": "thread has an unfinished run"})
        with pytest.raises(ConflictError, match="unfinished run") as caught:
            await api.sdk.threads.update_state(thread_id, {})
        assert caught.value.code == "thread_busy"
        double.refusal = (400, {"reason": "Invalid", "message": "no node of this name"})
        with pytest.raises(BadRequestError, match="no node of this name"):
            await api.sdk.threads.update_state(thread_id, {})
        double.refusal = (504, {"reason": "LoopBusy"})
        with pytest.raises(InternalServerError, match="look whether it was done") as blocked:
            await api.sdk.threads.update_state(thread_id, {})
        assert (blocked.value.status_code, blocked.value.code) == (503, "no_runner")
        double.refusal = (408, {"reason": "TooSlow", "message": "the database took too long"})
        slow = await api.http.get(f"/threads/{thread_id}/state")
        assert (slow.status_code, slow.json()["code"], slow.headers["Retry-After"]) == (503, "search_too_slow", "10")
        double.refusal = (500, {})
        response: httpx.Response = await api.http.get(f"/threads/{thread_id}/state")
        assert (response.status_code, response.json()["code"]) == (502, "runner_refused")


async def test_history_of_a_busy_thread_shows_what_is_there_already(api: Api, settings: ApiSettings) -> None:
    thread_id = await finished_thread(api, "talk")
    await api.sdk.runs.create(thread_id, "talk", command={"resume": "yes"})
    async with runner_double(settings) as double:
        double.values = {"messages": [human("hi", "h1"), ai("hello", "m1")]}
        messages = (await api.http.get(f"/history/{thread_id}")).json()["messages"]
    assert [message["content"] for message in messages] == ["hi", "hello"]


async def test_parts_of_a_state_are_answered_where_parts_are_asked_for(api: Api, settings: ApiSettings) -> None:
    thread_id = await finished_thread(api)
    async with runner_double(settings) as double:
        double.values = {"steps": [1], "other": 2}
        checkpoint: Any = {"checkpoint_id": "c"}
        for asked in (
            api.sdk.threads.get_state(thread_id, select=["values.steps", "path", "nothing"]),
            api.sdk.threads.get_state(thread_id, checkpoint_id="c", select=["values.steps", "path"]),
            api.sdk.threads.get_state(thread_id, checkpoint, select=["values.steps", "values.nothing", "path"]),
        ):
            assert await asked == {"values": {"steps": [1]}, "path": f"/threads/{thread_id}/state"}
        whole = await api.sdk.threads.get_history(thread_id, select=["values", "values.steps"])
        assert whole == {"values": double.values}
        too_many = await api.http.get(f"/threads/{thread_id}/state", params={"select": ["next"] * 101})
        assert too_many.status_code == 422
