"""A2A's methods in detail, on runs that the test plays."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from a2a.types import AgentCard, StreamResponse, Task
from google.protobuf.json_format import ParseDict
from starlette.responses import Response

from relayrun_api.settings import ApiSettings
from relayrun_cli.postgres import EmbeddedPostgres
from relayrun_core.runs import PendingInterrupt
from tests.api.access import HS256, as_user, caller
from tests.api.conftest import Api, opened
from tests.api.play import Attempt, ai
from tests.api.test_webhooks import Receiver, receiving
from tests.support.postgres import fresh_database
from tests.support.reading import events
from tests.support.waiting import until_it_is

ALICE, BOB = as_user("alice"), as_user("bob")
QUESTION = PendingInterrupt("a" * 32, "ok?", "task-1")
OTHER = PendingInterrupt("b" * 32, {"sure": True}, "task-2")
KEY = "whsec_" + base64.b64encode(b"k" * 24).decode()
NOW = {"returnImmediately": True}


@pytest.fixture(scope="module")
async def guarded(postgres: EmbeddedPostgres) -> AsyncIterator[Api]:
    async with (
        fresh_database(postgres) as url,
        opened(ApiSettings(database_url=url, webhook_allow_private="true", webhook_secret=KEY, **HS256)) as api,
    ):
        yield api


def said(*parts: Any, **more: Any) -> dict[str, Any]:
    made = [{"text": part} if isinstance(part, str) else part for part in parts]
    return {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": made, **more}


async def call(api: Api, method: str, params: Any, headers: dict[str, str] = ALICE, at: str = "talk") -> dict[str, Any]:
    async with caller(api, headers) as client:
        body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
        answer = await client.post(f"/a2a/{at}", json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert (told["jsonrpc"], told["id"]) == ("2.0", "1")
    return told


async def begun(api: Api, *parts: Any, **more: Any) -> dict[str, Any]:
    """A new task, which is not waited for."""
    told = await call(api, "SendMessage", {"message": said(*parts or ("hi",), **more), "configuration": NOW})
    task: dict[str, Any] = told["result"]["task"]
    ParseDict(task, Task())
    return task


async def waiting(api: Api, *questions: PendingInterrupt) -> dict[str, Any]:
    """A task that asks."""
    task = await begun(api)
    attempt = await Attempt.begin(api.database, task["id"])
    await attempt.tell("updates", {"__interrupt__": [{"id": one.id, "value": one.value} for one in questions]})
    await attempt.pause({}, *questions)
    return task


async def state(api: Api, task_id: str) -> str:
    told = await call(api, "GetTask", {"id": task_id})
    return str(told["result"]["status"]["state"]).removeprefix("TASK_STATE_")


async def runs_of(api: Api, task: dict[str, Any]) -> int:
    query = "SELECT count(*) AS runs FROM runs r JOIN threads t USING (thread_id) WHERE t.thread_id::text = %s"
    row = await api.database.fetch_one(query, (task["contextId"],))
    return int(row["runs"]) if row else 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b'"x"', -32600),
        (b"[]", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"GetTask"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"GetTask"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"Nope"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"x"}}', -32001),
        (b'{"jsonrpc":"2.0","id":1,"method":"CancelTask","params":{"id":"x"}}', -32001),
        (b'{"jsonrpc":"2.0","id":1,"method":"SubscribeToTask","params":{"id":"x"}}', -32001),
        (b'{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":{"pageToken":"1.x"}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":{"pageToken":"-1."}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":{"pageToken":"99999999999999999999."}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":"x"}}', -32602),
    ],
)
async def test_what_is_no_call_is_refused_with_a_code(guarded: Api, body: bytes, code: int) -> None:
    headers = {**ALICE, "content-type": "application/json"}
    answer = await guarded.http.post("/a2a/talk", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, code)


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"text": 5},
        {"video": "x"},
        {"raw": "x", "url": "http://x"},
        {"raw": 5},
        {"data": [1]},
    ],
)
async def test_a_part_that_is_none_is_refused(guarded: Api, part: dict[str, Any]) -> None:
    told = await call(guarded, "SendMessage", {"message": said(part), "configuration": NOW})
    assert told["error"]["code"] == -32602


async def test_what_the_guard_refuses_is_refused_in_https_way(guarded: Api) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks"}
    assert (await guarded.http.post("/a2a/talk", json=body)).status_code == 401
    assert (await guarded.http.get("/.well-known/agent-card.json?assistant_id=talk")).status_code == 401
    async with caller(guarded, ALICE) as alice:
        assert (await alice.post("/a2a/nobody", json=body)).status_code in (404, 422)
        assert (await alice.post("/a2a/talk", content=b"{}", headers={"content-type": "text/plain"})).status_code == 415
        versions = await alice.post("/a2a/talk", json=body, headers={"A2A-Version": "2.0"})
        assert versions.json()["error"]["code"] == -32009
        card = await alice.get("/.well-known/agent-card.json?assistant_id=talk")
        assert ParseDict(card.json(), AgentCard(), ignore_unknown_fields=True).security_requirements
        assert (await alice.get("/.well-known/agent-card.json")).status_code == 422  # there are two graphs


async def test_parts_become_the_graphs_input(guarded: Api) -> None:
    png = base64.b64encode(b"png").decode()
    task = await begun(
        guarded,
        "look",
        {"raw": png, "mediaType": "image/png", "filename": "a.png"},
        {"url": "https://example.com/b.pdf", "mediaType": "application/pdf"},
        {"data": {"order": 7}},
    )
    row = await guarded.database.fetch_one("SELECT spec -> 'input' AS input FROM runs WHERE run_id = %s", (task["id"],))
    assert row
    [message] = row["input"]["messages"]
    assert row["input"]["order"] == 7
    assert message["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image", "base64": png, "mime_type": "image/png", "extras": {"filename": "a.png"}},
        {"type": "file", "url": "https://example.com/b.pdf", "mime_type": "application/pdf"},
    ]
    parts = task["history"][0]["parts"]
    assert parts[0] == {"text": "look"}
    assert parts[1]["raw"] == png
    assert parts[3] == {"data": {"order": 7}}
    refused = await call(guarded, "SendMessage", {"message": said("hi"), "configuration": NOW}, at="steps")
    assert refused["error"]["code"] == -32005


async def test_a_message_that_is_sent_twice_is_one_task(guarded: Api) -> None:
    message = said("hi")
    both = [await call(guarded, "SendMessage", {"message": message, "configuration": NOW}) for _ in range(2)]
    assert both[0]["result"]["task"]["id"] == both[1]["result"]["task"]["id"]
    other = {**message, "parts": [{"text": "something else"}]}
    refused = await call(guarded, "SendMessage", {"message": other, "configuration": NOW})
    assert refused["error"]["code"] == -32602


async def test_an_answer_that_is_sent_twice_answers_once_under_the_same_task(guarded: Api) -> None:
    task = await waiting(guarded, QUESTION)
    told = (await call(guarded, "GetTask", {"id": task["id"]}))["result"]
    assert told["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert told["status"]["message"]["parts"] == [{"text": "ok?"}]
    answer = {"message": said("yes", taskId=task["id"]), "configuration": NOW}
    answers = await asyncio.gather(*(call(guarded, "SendMessage", answer) for _ in range(3)))
    answers.append(await call(guarded, "SendMessage", answer))
    assert {told["result"]["task"]["id"] for told in answers} == {task["id"]}
    assert await runs_of(guarded, task) == 2
    second = said("no", taskId=task["id"])
    assert (await call(guarded, "SendMessage", {"message": second}))["error"]["code"] == -32004
    [run] = await guarded.database.fetch_all(
        "SELECT run_id, spec -> 'answers' AS answers FROM runs WHERE spec #>> '{metadata,a2a_task_id}' = %s",
        (task["id"],),
    )
    assert run["answers"][0]["value"] == "yes"
    attempt = await Attempt.begin(guarded.database, run["run_id"])
    await attempt.tell("updates", {"answer": {"messages": [ai("done", "m1")]}})
    await attempt.succeed({"messages": [ai("done", "m1")]})
    ended = (await call(guarded, "GetTask", {"id": task["id"]}))["result"]
    assert ended["status"]["state"] == "TASK_STATE_COMPLETED"
    assert [one["parts"] for one in ended["artifacts"]] == [[{"text": "done"}]]
    assert [one["role"] for one in ended["history"]] == ["ROLE_USER", "ROLE_AGENT", "ROLE_USER"]
    brief = (await call(guarded, "GetTask", {"id": task["id"], "historyLength": 1}))["result"]
    assert [one["parts"] for one in brief["history"]] == [[{"text": "yes"}]]
    assert "history" not in (await call(guarded, "GetTask", {"id": task["id"], "historyLength": 0}))["result"]


async def test_a_message_to_a_context_that_waits_is_the_answer(guarded: Api) -> None:
    task = await waiting(guarded, QUESTION)
    answer = said({"data": [1, 2]}, contextId=task["contextId"])
    told = await call(guarded, "SendMessage", {"message": answer, "configuration": NOW})
    assert told["result"]["task"]["id"] == task["id"]


async def test_of_several_questions_each_is_answered_by_its_id(guarded: Api) -> None:
    task = await waiting(guarded, QUESTION, OTHER)
    vague = {"message": said("yes", taskId=task["id"]), "configuration": NOW}
    assert QUESTION.id in (await call(guarded, "SendMessage", vague))["error"]["message"]
    both = said({"data": {QUESTION.id: "yes", OTHER.id: "no"}}, taskId=task["id"])
    told = await call(guarded, "SendMessage", {"message": both, "configuration": NOW})
    assert told["result"]["task"]["id"] == task["id"]


async def test_a_question_about_credentials_is_auth_required(guarded: Api) -> None:
    task = await waiting(guarded, PendingInterrupt("c" * 32, {"type": "auth-required", "url": "https://x"}, "task-1"))
    assert await state(guarded, task["id"]) == "AUTH_REQUIRED"


async def test_cancels(guarded: Api) -> None:
    pending = await begun(guarded)
    told = await call(guarded, "CancelTask", {"id": pending["id"]})
    assert told["result"]["status"]["state"] == "TASK_STATE_CANCELED"
    assert (await call(guarded, "CancelTask", {"id": pending["id"]}))["error"]["code"] == -32002
    task = await waiting(guarded, QUESTION)
    assert (await call(guarded, "CancelTask", {"id": task["id"]}))["result"]["status"]["state"].endswith("CANCELED")
    assert await state(guarded, task["id"]) == "CANCELED"
    late = {"message": said("yes", taskId=task["id"])}
    assert (await call(guarded, "SendMessage", late))["error"]["code"] == -32004


async def test_a_failed_task_says_why_and_shows_no_traceback(guarded: Api) -> None:
    task = await begun(guarded)
    await (await Attempt.begin(guarded.database, task["id"])).fail("ValueError", "no such order")
    told = await call(guarded, "GetTask", {"id": task["id"]})
    assert told["result"]["status"]["state"] == "TASK_STATE_FAILED"
    assert "no such order" in str(told)
    assert "secret path" not in str(told)


async def test_what_a_lost_attempt_had_half_said_is_replaced(guarded: Api) -> None:
    task = await begun(guarded)
    first = await Attempt.begin(guarded.database, task["id"])
    for text in ("It ", "is "):
        await first.tell("messages", [ai(text, "m1", chunk=True), {"langgraph_node": "answer"}])
    now = (await call(guarded, "GetTask", {"id": task["id"]}))["result"]
    assert [one["parts"] for one in now["artifacts"]] == [[{"text": "It is "}]]
    second = await Attempt.begin(guarded.database, task["id"], 2)
    for text in ("All ", "is well."):
        await second.tell("messages", [ai(text, "m2", chunk=True), {"langgraph_node": "answer"}])
    await second.tell("updates", {"answer": {"messages": [ai("All is well.", "m2")]}})
    await second.succeed({"messages": [ai("All is well.", "m2")]})
    body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/resubscribe", "params": {"id": task["id"]}}
    told = []
    async with (
        caller(guarded, ALICE) as client,
        client.stream("POST", "/a2a/talk", json=body, headers={"Last-Event-ID": "1-0"}) as answer,
    ):
        told = [event async for event in events(answer)]
    chunks = [one.data["result"] for one in told if one.data["result"]["kind"] == "artifact-update"]
    assert [(one["append"], one["lastChunk"], one["artifact"]["parts"][0]["text"]) for one in chunks] == [
        (False, False, "It "),
        (True, False, "is "),
        (False, False, "All "),
        (True, False, "is well."),
        (True, True, ""),
    ]
    assert len({one["artifact"]["artifactId"] for one in chunks}) == 1
    assert len({one.id for one in told}) == len(told)
    async with caller(guarded, ALICE) as client:
        for place, one in enumerate(told[:-1]):
            headers = {"Last-Event-ID": one.id}
            async with client.stream("POST", "/a2a/talk", json=body, headers=headers) as answer:
                assert [event.id async for event in events(answer)] == [event.id for event in told[place + 1 :]]


async def test_a_graph_without_messages_answers_with_its_output(guarded: Api) -> None:
    params = {"message": said({"data": {"steps": []}}), "configuration": NOW}
    task = (await call(guarded, "SendMessage", params, at="steps"))["result"]["task"]
    await (await Attempt.begin(guarded.database, task["id"])).succeed({"steps": ["a"]})
    told = (await call(guarded, "GetTask", {"id": task["id"]}, at="steps"))["result"]
    assert told["artifacts"][0]["parts"] == [{"data": {"steps": ["a"]}}]


async def test_a_newer_client_is_told_that_an_ended_task_tells_nothing_more(guarded: Api) -> None:
    task = await begun(guarded)
    await (await Attempt.begin(guarded.database, task["id"])).succeed({})
    assert (await call(guarded, "SubscribeToTask", {"id": task["id"]}))["error"]["code"] == -32004
    body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/resubscribe", "params": {"id": task["id"]}}
    async with caller(guarded, ALICE) as client, client.stream("POST", "/a2a/talk", json=body) as answer:
        told = [event.data["result"] async for event in events(answer)]
    assert [(one["kind"], one["status"]["state"]) for one in told] == [("task", "completed")]


async def test_tasks_are_listed_in_pages(guarded: Api) -> None:
    context = f"listed-{uuid4()}"
    tasks = []
    for _ in range(3):
        task = await begun(guarded, contextId=context)
        await (await Attempt.begin(guarded.database, task["id"])).succeed({"messages": []})
        tasks.append(task["id"])
    first = (await call(guarded, "ListTasks", {"contextId": context, "pageSize": 2}))["result"]
    second = (await call(guarded, "ListTasks", {"contextId": context, "pageToken": first["nextPageToken"]}))["result"]
    assert [one["id"] for one in first["tasks"] + second["tasks"]] == tasks[::-1]
    assert (second["nextPageToken"], second["totalSize"]) == ("", 3)
    none = await call(guarded, "ListTasks", {"contextId": context, "status": "TASK_STATE_FAILED"})
    assert none["result"]["tasks"] == []


async def test_another_owners_tasks_and_contexts_do_not_exist(guarded: Api) -> None:
    task = await waiting(guarded, QUESTION)
    before = await runs_of(guarded, task)
    for method in ("GetTask", "CancelTask", "SubscribeToTask", "tasks/resubscribe", "tasks/get", "tasks/cancel"):
        assert (await call(guarded, method, {"id": task["id"]}, BOB))["error"]["code"] == -32001, method
    receiver = {"taskId": task["id"], "id": "r", "url": "https://example.com/hook"}
    for method in ("Create{}", "Get{}", "List{}s", "Delete{}"):
        name = method.format("TaskPushNotificationConfig")
        assert (await call(guarded, name, receiver, BOB))["error"]["code"] == -32001, name
    for message in (said("yes", taskId=task["id"]), said("hi", contextId=task["contextId"])):
        for method in ("SendMessage", "SendStreamingMessage"):
            told = await call(guarded, method, {"message": message, "configuration": NOW}, BOB)
            assert told["error"]["code"] in (-32001, -32602), method
    assert (await call(guarded, "ListTasks", {"contextId": task["contextId"]}, BOB))["result"]["tasks"] == []
    assert await runs_of(guarded, task) == before
    assert await state(guarded, task["id"]) == "INPUT_REQUIRED"


async def test_a_task_of_another_agent_is_not_found(guarded: Api) -> None:
    task = await begun(guarded)
    assert (await call(guarded, "GetTask", {"id": task["id"]}, at="steps"))["error"]["code"] == -32001


async def test_receivers_are_kept_as_they_were_sent(guarded: Api) -> None:
    task = await begun(guarded)
    sent = {"taskId": task["id"], "id": "r1", "url": "https://example.com/hook", "token": "t"}
    sent["authentication"] = {"scheme": "Bearer", "credentials": "c"}
    assert (await call(guarded, "CreateTaskPushNotificationConfig", sent))["result"] == sent
    named = {"taskId": task["id"], "id": "r1"}
    assert (await call(guarded, "GetTaskPushNotificationConfig", named))["result"] == sent
    older = (await call(guarded, "tasks/pushNotificationConfig/list", {"id": task["id"]}))["result"]
    assert older[0]["pushNotificationConfig"]["authentication"] == {"schemes": ["Bearer"], "credentials": "c"}
    for wrong in ("http://169.254.169.254/", "ftp://x", "https://x/\n", "x" * 3000):
        refused = await call(guarded, "CreateTaskPushNotificationConfig", {**sent, "url": wrong})
        assert refused["error"]["code"] == -32602, wrong
    assert "error" in await call(guarded, "CreateTaskPushNotificationConfig", {**sent, "token": "a\r\nb"})
    for number in range(9):
        more = {**named, "id": f"more-{number}", "url": "https://example.com/hook"}
        assert "result" in await call(guarded, "CreateTaskPushNotificationConfig", more)
    refused = await call(guarded, "CreateTaskPushNotificationConfig", {**sent, "id": "one more"})
    assert "at most" in refused["error"]["message"]
    assert "result" in await call(guarded, "DeleteTaskPushNotificationConfig", named)
    assert (await call(guarded, "GetTaskPushNotificationConfig", named))["error"]["code"] == -32001


async def test_the_first_event_of_a_stream_is_the_task(guarded: Api) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": said("hi")}}
    async with caller(guarded, ALICE) as client, client.stream("POST", "/a2a/talk", json=body) as answer:
        told = events(answer)
        first = (await anext(told)).data["result"]
        assert first["task"]["status"]["state"] == "TASK_STATE_SUBMITTED"
        attempt = await Attempt.begin(guarded.database, first["task"]["id"])
        await attempt.tell("updates", {"answer": {"messages": [ai("hello", "m1")]}})
        await attempt.succeed({"messages": [ai("hello", "m1")]})
        rest = [event.data["result"] async for event in told]
    for one in (first, *rest):
        ParseDict(one, StreamResponse())
    assert [next(iter(one)) for one in rest] == ["statusUpdate", "artifactUpdate", "statusUpdate"]


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_receiver_that_fails_first_is_told_once(guarded: Api, version: str) -> None:
    async with receiving() as receiver:
        receiver.answers = [Response(status_code=500)]
        wants = {"url": receiver.url, "token": "of the receiver"}
        if version == "1.0":
            asks = {"authentication": {"scheme": "Bearer", "credentials": "secret"}}
            configuration = {"taskPushNotificationConfig": {**wants, **asks}}
            params = {"message": said("hi"), "configuration": {**NOW, **configuration}}
            task = (await call(guarded, "SendMessage", params))["result"]["task"]
        else:
            message = {**said(), "role": "user", "parts": [{"kind": "text", "text": "hi"}]}
            asks = {"authentication": {"schemes": ["Bearer"], "credentials": "secret"}}
            configuration = {"blocking": False, "pushNotificationConfig": {**wants, **asks}}
            task = (await call(guarded, "message/send", {"message": message, "configuration": configuration}))["result"]
        await (await Attempt.begin(guarded.database, task["id"])).pause({}, QUESTION)
        await until_it_is(lambda: _delivered(guarded, 2, receiver), seconds=60)
        for headers, _, _ in receiver.requests:
            assert headers["x-a2a-notification-token"] == "of the receiver"
            assert headers["authorization"] == "Bearer secret"
            assert headers["webhook-signature"].startswith("v1,")
        assert len({headers["webhook-id"] for headers, _, _ in receiver.requests}) == 1
        body = receiver.bodies[-1]
        told = body["statusUpdate"] if version == "1.0" else body
        assert told["status"]["state"].lower().replace("_", "-").endswith("input-required")
        assert told.get("taskId", told.get("id")) == task["id"]
        # The task goes on, and ends: it is told again. One who comes late is told at once.
        await call(guarded, "SendMessage", {"message": said("yes", taskId=task["id"]), "configuration": NOW})
        run = await guarded.database.fetch_one(
            "SELECT run_id FROM runs WHERE spec #>> '{metadata,a2a_task_id}' = %s", (task["id"],)
        )
        assert run
        await (await Attempt.begin(guarded.database, run["run_id"])).succeed({})
        await until_it_is(lambda: _delivered(guarded, 3, receiver), seconds=60)
        late = {"taskId": task["id"], "id": "late", "url": receiver.url}
        await call(guarded, "CreateTaskPushNotificationConfig", late)
        await until_it_is(lambda: _delivered(guarded, 4, receiver), seconds=60)
        assert "TASK_STATE_COMPLETED" in str(receiver.bodies[-1])


@pytest.mark.parametrize("identity", [{}, {"id": "mine"}])
async def test_a_receiver_that_each_message_names_is_one(guarded: Api, identity: dict[str, str]) -> None:
    async with receiving() as receiver:
        configuration = {**NOW, "taskPushNotificationConfig": {"url": receiver.url, **identity}}
        first = {"message": said("hi"), "configuration": configuration}
        task = (await call(guarded, "SendMessage", first))["result"]["task"]
        assert (await call(guarded, "SendMessage", first))["result"]["task"]["id"] == task["id"]
        await (await Attempt.begin(guarded.database, task["id"])).pause({}, QUESTION)
        await until_it_is(lambda: _delivered(guarded, 1, receiver), seconds=60)
        await call(guarded, "SendMessage", first)
        answer = {"message": said("yes", taskId=task["id"]), "configuration": configuration}
        await asyncio.gather(*(call(guarded, "SendMessage", answer) for _ in range(2)))
        run = await guarded.database.fetch_one(
            "SELECT run_id FROM runs WHERE spec #>> '{metadata,a2a_task_id}' = %s", (task["id"],)
        )
        assert run
        await (await Attempt.begin(guarded.database, run["run_id"])).succeed({})
        await until_it_is(lambda: _delivered(guarded, 2, receiver), seconds=60)
        await call(guarded, "SendMessage", answer)
        listed = await call(guarded, "ListTaskPushNotificationConfigs", {"taskId": task["id"]})
        assert len(listed["result"]["configs"]) == 1
        assert await _delivered(guarded, 2, receiver)


async def _delivered(api: Api, requests: int, receiver: Receiver) -> bool:
    """Whether so many requests came, and nothing is left to be told."""
    assert len(receiver.requests) <= requests
    left = await api.database.fetch_all("SELECT 1 FROM webhooks")
    return len(receiver.requests) == requests and not left
