"""States and histories: what is asked of runners, and what is said when none is up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, InternalServerError, UnprocessableEntityError
from pydantic import SecretStr

from relayrun_core.runs import PendingInterrupt
from relayrun_core.settings import ApiSettings
from tests.api.conftest import Api
from tests.api.play import Attempt, ai, human
from tests.api.runnerdouble import runner_double


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    return settings.model_copy(update={"runner_token": SecretStr("secret")})


async def finished_thread(api: Api, graph: str = "steps") -> str:
    run = await api.sdk.runs.create(None, graph, input={})
    attempt = await Attempt.begin(api.database, UUID(run["run_id"]))
    await attempt.pause({"steps": [1]}, PendingInterrupt("c" * 32, "ok?", "task-1"))
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


async def test_without_a_runner_the_state_is_as_of_the_last_finish_and_says_so(api: Api) -> None:
    thread_id = await finished_thread(api)
    state = await api.sdk.threads.get_state(thread_id)
    assert state["values"] == {"steps": [1]}
    assert state["metadata"] == {"source": "last_finish"}
    assert state["interrupts"] == [{"id": "c" * 32, "value": "ok?"}]
    for asked in (api.sdk.threads.get_history(thread_id), api.sdk.threads.get_state(thread_id, checkpoint_id="c")):
        with pytest.raises(InternalServerError) as caught:
            await asked
        assert (caught.value.status_code, caught.value.code) == (503, "no_runner")


async def test_a_thread_without_a_run_has_an_empty_state(api: Api) -> None:
    thread = await api.sdk.threads.create()
    state = await api.sdk.threads.get_state(thread["thread_id"])
    assert (state["values"], state["next"], state["checkpoint"]) == ({}, [], None)
    assert await api.sdk.threads.get_history(thread["thread_id"]) == []
    with pytest.raises(UnprocessableEntityError):
        await api.sdk.threads.update_state(thread["thread_id"], {"steps": []})


async def test_what_a_runner_refuses_is_passed_on_as_ours(api: Api, settings: ApiSettings) -> None:
    thread_id = await finished_thread(api)
    async with runner_double(settings) as double:
        double.refusal = (409, {"reason": "ThreadBusy", "message": "thread has an unfinished run"})
        with pytest.raises(ConflictError, match="unfinished run") as caught:
            await api.sdk.threads.update_state(thread_id, {})
        assert caught.value.code == "thread_busy"
        double.refusal = (400, {"reason": "Invalid", "message": "no node of this name"})
        with pytest.raises(UnprocessableEntityError, match="no node of this name"):
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
