"""The official A2A client, in both versions of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.errors import A2AClientError
from a2a.types import (
    AgentCard,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import UnsupportedOperationError
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value

VERSIONS = ("1.0", "0.3")


@asynccontextmanager
async def a2a_client(
    url: str, assistant: str, version: str = "1.0", *, streaming: bool = True, polling: bool = False, **headers: str
) -> AsyncIterator[Client]:
    """A client that has found the agent by its card."""
    async with httpx.AsyncClient(timeout=60, trust_env=False, headers=headers) as http:
        card = await card_of(http, url, assistant)
        kept = [one for one in card.supported_interfaces if one.protocol_version == version]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(kept)
        config = ClientConfig(streaming=streaming, polling=polling, httpx_client=http)
        yield ClientFactory(config).create(card)


async def card_of(http: httpx.AsyncClient, url: str, assistant: str) -> AgentCard:
    path = f"/.well-known/agent-card.json?assistant_id={assistant}"
    return await A2ACardResolver(http, url, agent_card_path=path).get_agent_card()


def message(*parts: Any, message_id: str | None = None, **more: str) -> SendMessageRequest:
    """Texts as text parts, other things as data."""
    made = [Part(text=part) if isinstance(part, str) else Part(data=ParseDict(part, Value())) for part in parts]
    said = Message(message_id=message_id or str(uuid4()), role=Role.ROLE_USER, parts=made, **more)
    return SendMessageRequest(message=said)


@dataclass
class Heard:
    """What a client makes of a stream: artifacts by their ids, chunks put together as A2A says."""

    task_id: str = ""
    context_id: str = ""
    states: list[str] = field(default_factory=list)
    artifacts: dict[str, str] = field(default_factory=dict)
    chunks: int = 0
    asked: dict[str, Any] | None = None

    def take(self, event: StreamResponse) -> None:
        if event.HasField("task"):
            self.task_id, self.context_id = event.task.id, event.task.context_id
            self._status(event.task.status)
            self.artifacts = {one.artifact_id: text_of(one) for one in event.task.artifacts}
        elif event.HasField("status_update"):
            self._status(event.status_update.status)
        elif event.HasField("artifact_update"):
            self.chunks += 1
            update = event.artifact_update
            before = self.artifacts.get(update.artifact.artifact_id, "") if update.append else ""
            self.artifacts[update.artifact.artifact_id] = before + text_of(update.artifact)

    def _status(self, status: Any) -> None:
        state = TaskState.Name(status.state).removeprefix("TASK_STATE_").lower()
        if not self.states or self.states[-1] != state:
            self.states.append(state)
        self.asked = MessageToDict(status.message) if status.HasField("message") else None


def text_of(artifact: Any) -> str:
    return "".join(part.text for part in artifact.parts)


async def heard(events: AsyncIterator[StreamResponse], into: Heard | None = None) -> Heard:
    """All of a stream."""
    into = into or Heard()
    async for event in events:
        into.take(event)
    return into


async def follow(url: str, assistant: str, version: str, request: SendMessageRequest, into: Heard) -> None:
    """Send a message and read to the end: whoever was cut off subscribes to the task."""
    async with a2a_client(url, assistant, version) as client:
        events = client.send_message(request)
        while not into.states or into.states[-1] != "completed":
            try:
                await heard(events, into)
            except (A2AClientError, httpx.TransportError):
                await asyncio.sleep(0.05)  # as clients do
            except UnsupportedOperationError:
                task = await client.get_task(GetTaskRequest(id=into.task_id))  # it ended meanwhile
                into.take(StreamResponse(task=task))
            events = client.subscribe(SubscribeToTaskRequest(id=into.task_id))
