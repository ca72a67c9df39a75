"""A small OpenAI-compatible server that says what a test tells it to, when the test lets it.

llm.will(Reply("Hel", gate, "lo"), Reply(Call("find_order", {"order_id": "4711"})), Refusal(429, "slow down"))
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.support.serving import serving


@dataclass(frozen=True)
class Call:
    """A tool call; its arguments are sent in pieces, as OpenAI does."""

    tool: str
    args: dict[str, Any]
    id: str = "call_1"
    index: int = 0


class Break:
    """Here the connection is cut."""


@dataclass(frozen=True)
class Refusal:
    """An answer that is none."""

    status: int
    message: str


class Reply:
    """Tokens and tool calls in order; at an event the server waits until the test sets it."""

    def __init__(self, *steps: str | Call | asyncio.Event | type[Break]) -> None:
        self.steps = steps


class OpenAIServer:
    """`/v1/chat/completions`, streamed. `asked` are the bodies of the requests, `url` is for OPENAI_BASE_URL."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self._script: deque[Reply | Refusal] = deque()

    def will(self, *replies: Reply | Refusal) -> None:
        """Forget what was to come and was asked, and answer the next requests with these."""
        self._script = deque(replies)
        self.asked.clear()

    @property
    def finished(self) -> bool:
        """Whether everything was asked for."""
        return not self._script

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        if scope["method"] == "GET":  # the runner's look at the list of models
            await JSONResponse({"object": "list", "data": []})(scope, receive, send)
            return
        self.asked.append(await Request(scope, receive).json())
        # 400 is what no client tries again.
        reply = self._script.popleft() if self._script else Refusal(400, "the test expects no request here")
        if isinstance(reply, Refusal):
            await _refuse(send, reply)
        else:
            await _stream(send, reply)


@asynccontextmanager
async def openai_server() -> AsyncIterator[OpenAIServer]:
    """A server on a port of its own."""
    llm = OpenAIServer()
    async with serving(llm, lifespan="off") as port:
        llm.url = f"http://127.0.0.1:{port}/v1"
        yield llm


async def _refuse(send: Send, refusal: Refusal) -> None:
    body = json.dumps({"error": {"message": refusal.message, "type": "server_error", "code": None}}).encode()
    # OpenAI's client tries again by itself, as soon as it is told to.
    headers = [(b"content-type", b"application/json"), (b"retry-after-ms", b"1")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Send, reply: Reply) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for step in reply.steps:
        if isinstance(step, asyncio.Event):
            await step.wait()
        elif isinstance(step, type):
            raise ConnectionAbortedError  # uvicorn cuts the connection of an answer that breaks off
        else:
            for delta in _deltas(step):
                await send(_frame(delta))
    called = any(isinstance(step, Call) for step in reply.steps)
    await send(_frame({}, "tool_calls" if called else "stop"))
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def _deltas(step: str | Call) -> Iterator[dict[str, Any]]:
    if isinstance(step, str):
        yield {"content": step}
        return
    args = json.dumps(step.args)
    half = len(args) // 2
    first = {"index": step.index, "id": step.id, "type": "function", "function": {"name": step.tool, "arguments": ""}}
    yield {"tool_calls": [first]}
    for piece in (args[:half], args[half:]):
        yield {"tool_calls": [{"index": step.index, "function": {"arguments": piece}}]}


def _frame(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "test", "choices": [choice]}
    return {"type": "http.response.body", "body": f"data: {json.dumps(chunk)}\n\n".encode(), "more_body": True}
