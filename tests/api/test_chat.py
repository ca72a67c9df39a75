"""The simple endpoints, as a frontend without an SDK uses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import orjson

from relayrun_core.db.runs import get_run, unfinished_runs
from relayrun_core.runs import PendingInterrupt
from tests.api.conftest import Api
from tests.api.play import Attempt, ai, human, tool
from tests.support.waiting import eventually

QUESTION = PendingInterrupt("b" * 32, "really?", "task-1")
META = {"langgraph_node": "chat"}
ALICE = "alice's"


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """(id, data) of each event."""
    identity = ""
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            identity = line[4:]
        elif line.startswith("data: "):
            yield identity, orjson.loads(line[6:])


def run_of(response: httpx.Response) -> UUID:
    return UUID(response.headers["content-location"].rsplit("/", 1)[1])


async def play_answer(api: Api, run_id: UUID) -> None:
    attempt = await Attempt.begin(api.database, run_id)
    await attempt.tell("messages", [ai("he", "m1", chunk=True), META])
    await attempt.tell(
        "updates", {"chat": {"messages": [ai("hello", "m1", calls=[{"id": "c", "name": "t", "args": {}}])]}}
    )
    await attempt.tell("custom", {"percent": 50})
    await attempt.succeed({"messages": [human("hi", "h1"), ai("hello", "m1")]})


async def test_a_chat_streams_the_answer_and_names_where_to_come_back(api: Api) -> None:
    async with api.http.stream(
        "POST", "/chat", json={"message": "hi", "thread_id": ALICE, "assistant_id": "talk"}
    ) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        run_id = run_of(response)
        assert response.headers["location"] == f"/chat/{run_id}"
        thread = (await api.sdk.threads.get(ALICE))["thread_id"]
        assert response.headers["content-location"] == f"/threads/{thread}/runs/{run_id}"
        await play_answer(api, run_id)
        told = [data async for _, data in events(response)]
    assert [data["type"] for data in told] == ["start", "token", "message", "tool_call", "update", "custom", "end"]
    assert told[0] == {"type": "start", "run_id": str(run_id), "thread_id": ALICE, "attempt": 1}
    assert told[-1] == {"type": "end", "run_id": str(run_id), "thread_id": ALICE, "status": "success"}
    run = await get_run(api.database, run_id)
    assert run is not None
    assert run.spec.input == {"messages": [{"role": "user", "content": "hi"}]}


async def test_a_replay_after_any_event_gives_the_rest_and_then_204(api: Api) -> None:
    accepted = await api.http.post("/run-task", json={"message": "hi", "thread_id": "alice", "assistant_id": "talk"})
    assert accepted.status_code == 202
    run_id = accepted.json()["run_id"]
    assert accepted.json() == {"status": "accepted", "thread_id": "alice", "run_id": run_id}
    assert accepted.headers["location"] == f"/chat/{run_id}"
    await play_answer(api, UUID(run_id))
    path = f"/chat/{run_id}"

    async def replay(**request: Any) -> list[tuple[str, dict[str, Any]]]:
        async with api.http.stream("GET", path, **request) as response:
            assert response.status_code == 200
            return [event async for event in events(response)]

    everything = await replay()
    assert [data["type"] for _, data in everything] == [
        "start",
        "token",
        "message",
        "tool_call",
        "update",
        "custom",
        "end",
    ]
    assert everything[0][1]["thread_id"] == "alice"
    for position, (identity, _) in enumerate(everything[:-1]):
        assert await replay(headers={"Last-Event-ID": identity}) == everything[position + 1 :]
        assert await replay(params={"last_event_id": identity}) == everything[position + 1 :]
    assert (await api.http.get(path, headers={"Last-Event-ID": everything[-1][0]})).status_code == 204


async def test_a_crash_is_told_with_the_messages_to_forget(api: Api) -> None:
    async with api.http.stream("POST", "/chat", json={"message": "hi", "assistant_id": "talk"}) as response:
        run_id = run_of(response)
        attempt = await Attempt.begin(api.database, run_id)
        await attempt.tell("messages", [ai("hal", "m1", chunk=True), META])
        again = await Attempt.begin(api.database, run_id, 2)
        await again.tell("updates", {"chat": {"messages": [ai("hello", "m2")]}})
        await again.succeed()
        told = [data async for _, data in events(response)]
    assert [data["type"] for data in told] == ["start", "token", "attempt", "message", "update", "end"]
    assert (told[2]["attempt"], told[2]["discard"]) == (2, ["m1"])


async def test_a_message_to_a_thread_that_asks_is_refused_with_the_questions(api: Api) -> None:
    body = {"message": "hi", "thread_id": "alice", "assistant_id": "talk"}
    run_id = UUID((await api.http.post("/run-task", json=body)).json()["run_id"])
    attempt = await Attempt.begin(api.database, run_id)
    await attempt.tell("updates", {"__interrupt__": [{"id": QUESTION.id, "value": "really?"}]})
    await attempt.pause({"messages": []}, QUESTION)
    async with api.http.stream("GET", f"/chat/{run_id}") as response:
        told = [data async for _, data in events(response)]
    assert told[1] == {"type": "interrupt", "interrupts": [{"id": QUESTION.id, "value": "really?"}]}
    assert told[-1]["status"] == "interrupted"

    refused = await api.http.post("/chat", json=body)
    assert refused.status_code == 409
    problem = refused.json()
    assert (problem["code"], problem["interrupts"]) == ("thread_interrupted", [{"id": QUESTION.id, "value": "really?"}])
    resumed = await api.http.post("/run-task", json={"resume": False, "thread_id": "alice", "assistant_id": "talk"})
    assert resumed.status_code == 202
    run = await get_run(api.database, UUID(resumed.json()["run_id"]))
    assert run is not None
    assert [answer.value for answer in run.spec.answers] == [False]


async def test_a_resume_of_a_name_never_used_leaves_no_thread_behind(api: Api) -> None:
    refused = await api.http.post("/chat", json={"resume": 1, "thread_id": "nobody", "assistant_id": "talk"})
    assert refused.status_code == 404
    assert (await api.http.get("/threads/nobody")).status_code == 422


async def the_run(api: Api) -> UUID:
    return (await eventually(lambda: unfinished_runs(api.database)))[0].run_id


async def test_invoke_waits_for_the_last_message(api: Api) -> None:
    asking = asyncio.create_task(api.http.post("/invoke", json={"message": "hi", "assistant_id": "talk"}))
    attempt = await Attempt.begin(api.database, await the_run(api))
    await attempt.tell("values", {"messages": [human("hi", "h1"), ai("half of it", "m0")]})
    said = {"messages": [human("hi", "h1"), ai("hello", "m1"), human("x", "h2")], "secret": "s"}
    await attempt.succeed(said, output_keys=["messages"])
    answer = (await asking).json()
    assert answer["values"].keys() == {"messages"}
    assert (answer["thread_id"], answer["status"]) == ("default_user", "success")
    assert answer["message"] == {"id": "m1", "role": "assistant", "content": "hello", "tool_calls": []}
    assert answer["error"] is None


async def test_an_invoke_that_fails_says_why(api: Api) -> None:
    asking = asyncio.create_task(api.http.post("/invoke", json={"message": "hi", "assistant_id": "talk"}))
    await (await Attempt.begin(api.database, await the_run(api))).fail("ValueError", "boom")
    answer = (await asking).json()
    assert answer["status"] == "error"
    assert (answer["error"]["code"], answer["error"]["detail"]) == ("run_failed", "ValueError: boom")


async def test_history_has_plain_messages_in_pages(api: Api) -> None:
    empty = await api.http.get("/history/never-used")
    assert empty.json() == {"thread_id": "never-used", "messages": [], "next": None}
    run_id = (
        await api.http.post("/run-task", json={"message": "hi", "thread_id": "al", "assistant_id": "talk"})
    ).json()["run_id"]
    said = [
        human("hi", "h1"),
        ai("", "m1", calls=[{"id": "c", "name": "t", "args": {"x": 1}}]),
        tool("42", "c"),
        ai("hello", "m2"),
    ]
    await (await Attempt.begin(api.database, run_id)).succeed({"messages": said})
    everything = (await api.http.get("/history/al")).json()
    assert [message["role"] for message in everything["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert everything["messages"][1]["tool_calls"] == [{"id": "c", "name": "t", "args": {"x": 1}}]
    assert everything["messages"][2]["tool_call_id"] == "c"
    last = (await api.http.get("/history/al", params={"limit": 1})).json()
    assert ([message["id"] for message in last["messages"]], last["next"]) == (["m2"], "m2")
    before = (await api.http.get("/history/al", params={"limit": 3, "before": "m2"})).json()
    assert ([message["id"] for message in before["messages"]], before["next"]) == (["h1", "m1", "of-c"], None)


async def test_without_an_assistant_the_choices_are_named(api: Api) -> None:
    refused = await api.http.post("/chat", json={"message": "hi"})
    assert refused.status_code == 422
    assert "steps, talk" in refused.json()["detail"]


async def test_a_graph_without_messages_names_its_route(api: Api) -> None:
    refused = await api.http.post("/chat", json={"message": "hi", "assistant_id": "steps"})
    assert refused.status_code == 422
    assert "/runs/stream" in refused.json()["detail"]


async def test_user_context_goes_where_the_graph_declares_it(api: Api) -> None:
    body = {"message": "hi", "assistant_id": "talk", "user_context": {"plan": "pro"}}
    run = await get_run(api.database, UUID((await api.http.post("/run-task", json=body)).json()["run_id"]))
    assert run is not None
    assert (run.spec.context, run.spec.config) == (None, {"configurable": {"user_context": {"plan": "pro"}}})
