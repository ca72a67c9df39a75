"""How soon the first token of an answer arrives, one client after another."""

from __future__ import annotations

import asyncio
import time
import uuid

from langgraph_sdk.client import LangGraphClient

from bench.runs import RUN_LIMIT_SECONDS, RunFailedError, sdk_client
from bench.samples import TokenSample

GRAPH = "talk"
TOKENS = 100


async def measure_tokens(url: str, answers: int) -> list[TokenSample]:
    """So many answers, streamed by one client, the first of them not counted."""
    async with sdk_client(url) as client:
        return [await _one_answer(client) for _ in range(answers + 1)][1:]


async def _one_answer(client: LangGraphClient) -> TokenSample:
    first, tokens = None, 0
    asked = {"messages": [{"role": "user", "content": "count"}]}
    began = time.perf_counter()
    async with asyncio.timeout(RUN_LIMIT_SECONDS):
        async for part in client.runs.stream(
            str(uuid.uuid4()), GRAPH, input=asked, stream_mode="messages-tuple", if_not_exists="create"
        ):
            if part.event == "error":
                raise RunFailedError(f"the run failed: {part.data}")
            if part.event == "messages" and part.data[0]["type"] == "AIMessageChunk" and part.data[0]["content"]:
                first = first or time.perf_counter()
                tokens += 1
    ended = time.perf_counter()
    if first is None or tokens != TOKENS:
        raise RunFailedError(f"{tokens} of {TOKENS} tokens came")
    return TokenSample((first - began) * 1000, (ended - began) * 1000)
