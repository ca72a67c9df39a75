"""The official A2A client against `relayrun dev`, in both versions of the protocol."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    TaskState,
)
from a2a.utils.errors import A2AError

from tests.support.a2a import VERSIONS, Heard, a2a_client, card_of, follow, heard, message, text_of
from tests.support.gated import Place
from tests.support.waiting import until

each_version = pytest.mark.parametrize("version", VERSIONS)
SPOKEN = "one two three four "


def opened(place: Place) -> str:
    """A call whose gate is open."""
    call = f"a2a-{uuid4()}"
    (place.folder / f"{call}.open").touch()
    return call


async def test_the_card_says_how_the_agent_is_called(place: Place) -> None:
    card = await card_of(place.http, place.dev.url, "chat")
    assert card.name == "chat"
    assert card.capabilities.streaming
    assert [(one.protocol_binding, one.protocol_version) for one in card.supported_interfaces] == [
        ("JSONRPC", "1.0"),
        ("JSONRPC", "0.3"),
    ]
    assert all(one.url.startswith(f"{place.dev.url}/a2a/") for one in card.supported_interfaces)


@each_version
async def test_a_message_is_answered_by_a_task(place: Place, version: str) -> None:
    async with a2a_client(place.dev.url, "chat", version, streaming=False) as client:
        told = await heard(client.send_message(message(opened(place))))
        assert (told.states, list(told.artifacts.values())) == (["completed"], [SPOKEN])
        task = await client.get_task(GetTaskRequest(id=told.task_id))
        assert task.status.state == TaskState.TASK_STATE_COMPLETED
        assert task.context_id == told.context_id


@each_version
async def test_a_stream_tells_artifacts_in_chunks(place: Place, version: str) -> None:
    async with a2a_client(place.dev.url, "chat", version) as client:
        told = await heard(client.send_message(message(opened(place))))
    assert told.states[-2:] == ["working", "completed"]
    assert list(told.artifacts.values()) == [SPOKEN]


@each_version
async def test_a_message_that_is_not_waited_for_is_answered_at_once(place: Place, version: str) -> None:
    call = f"a2a-{uuid4()}"
    async with a2a_client(place.dev.url, "chat", version, streaming=False, polling=True) as client:
        told = await heard(client.send_message(message(call)))
        assert told.states[-1] in ("submitted", "working")
        await until(lambda: "held" in place.begun(call))
        task = await client.cancel_task(CancelTaskRequest(id=told.task_id))
        assert task.status.state == TaskState.TASK_STATE_CANCELED


async def test_tasks_are_listed(place: Place) -> None:
    context = f"listed-{uuid4()}"
    async with a2a_client(place.dev.url, "chat", streaming=False) as client:
        told = await heard(client.send_message(message(opened(place), context_id=context)))
        listed = await client.list_tasks(ListTasksRequest(context_id=context, include_artifacts=True))
    assert [task.id for task in listed.tasks] == [told.task_id]
    assert text_of(listed.tasks[0].artifacts[0]) == SPOKEN


@each_version
async def test_a_question_is_answered_once_under_the_same_task(place: Place, version: str) -> None:
    call = opened(place)
    async with a2a_client(place.dev.url, "ask", version, streaming=False) as client:
        asked = await heard(client.send_message(message({"call": call})))
        assert asked.states == ["input_required"]
        assert asked.asked
        assert asked.asked["parts"] == [{"text": "go on?"}]
        answer = message("yes", task_id=asked.task_id)
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(heard(client.send_message(answer))) for _ in range(2)]
        assert {one.result().task_id for one in both} == {asked.task_id}
        assert all(one.result().states == ["completed"] for one in both)
        with pytest.raises(A2AError):
            await heard(client.send_message(message("again", task_id=asked.task_id)))
    assert place.begun(call).count("held") == 1


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.parametrize("part", ["relayrun_runner", "relayrun_api"])
async def test_a_stream_goes_on_after_a_kill(place: Place, part: str) -> None:
    calls = {version: f"a2a-{uuid4()}" for version in VERSIONS}
    told = {version: Heard() for version in VERSIONS}
    async with asyncio.TaskGroup() as group:
        for version, call in calls.items():
            group.create_task(follow(place.dev.url, "chat", version, message(call), told[version]))
        await until(lambda: all("one two " in one.artifacts.values() for one in told.values()))
        for process in place.dev.running(part):
            process.kill()
        if part == "relayrun_runner":
            await until(lambda: all(place.begun(call).count("held") > 1 for call in calls.values()), seconds=60)
        for call in calls.values():
            (place.folder / f"{call}.open").touch()
    for version, call in calls.items():
        one = told[version]
        assert list(one.artifacts.values()) == [SPOKEN], version
        assert one.states[-1] == "completed"
        assert place.begun(call).count("first") == 1
