"""The official A2A client against `relayrun dev`, in both versions of the protocol."""

from __future__ import annotations

from uuid import uuid4

import pytest
from a2a.types import GetTaskRequest, TaskState

from tests.support.a2a import VERSIONS, a2a_client, card_of, heard, message
from tests.support.gated import Place

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
