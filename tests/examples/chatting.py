"""What tests of the chat example read of `/chat`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.reading import Told, events

CONFIG = Path(__file__).resolve().parents[2] / "examples" / "chat" / "langgraph.json"


@asynccontextmanager
async def chat(client: httpx.AsyncClient, **body: Any) -> AsyncIterator[AsyncIterator[Told]]:
    async with client.stream("POST", "/chat", json=body) as response:
        assert response.status_code == 200, await response.aread()
        yield events(response)


async def told_of(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    """All that is told of an answer, but `update`s."""
    async with chat(client, **body) as stream:
        return [told.data async for told in stream if told.event != "update"]


def text_of(told: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in told if event["type"] == "token")


def kinds(told: list[dict[str, Any]]) -> list[str]:
    """The types in order, tokens that follow each other as one."""
    types = [event["type"] for event in told]
    return [kind for before, kind in zip([None, *types], types, strict=False) if (before, kind) != ("token", "token")]
