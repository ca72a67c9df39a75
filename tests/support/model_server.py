"""A server with a list of language models, which answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.support.serving import serving

MODELS = {"object": "list", "data": [{"id": "test", "object": "model"}]}


@dataclass
class ModelServer:
    """`asked` are the requests; `key`: with any other bearer token the answer is 401; `answer` replaces the list."""

    origin: str = ""
    asked: list[Request] = field(default_factory=list)
    key: str | None = None
    answer: Response | None = None
    #: Nothing is answered until it is set.
    gate: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"{self.origin}/v1"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        request = Request(scope, receive)
        self.asked.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            response: Response = JSONResponse({"error": "a wrong key"}, 401)
        else:
            response = self.answer or JSONResponse(MODELS)
        await response(scope, receive, send)


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """A server on a port of its own; it is gone after the block."""
    models = ModelServer()
    async with serving(models, lifespan="off") as port:
        models.origin = f"http://127.0.0.1:{port}"
        try:
            yield models
        finally:
            if models.gate is not None:
                models.gate.set()
