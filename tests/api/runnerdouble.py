"""A stand-in for a runner's answers about threads: they repeat what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relayrun_api.settings import ApiSettings
from tests.support.serving import serving


class RunnerDouble:
    """Answers a runner's state routes with what it was asked, and keeps that."""

    def __init__(self) -> None:
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.values: Any = None
        #: What is said of threads to be made.
        self.created = True
        self.asked: list[dict[str, Any]] = []
        #: No question about these threads is answered before this is set.
        self.silent_about: set[str] = set()
        self.speaks = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer secret"
        if self.refusal:
            return JSONResponse(self.refusal[1], self.refusal[0])
        body = orjson.loads(content) if (content := await request.body()) else None
        asked = {"path": request.url.path, "query": dict(request.query_params), "body": body}
        self.asked.append(asked)
        if asked["path"].split("/")[2] in self.silent_about:
            await self.speaks.wait()
        return JSONResponse({**asked, "values": self.values, "created": self.created})


@asynccontextmanager
async def runner_double(settings: ApiSettings) -> AsyncIterator[RunnerDouble]:
    """A double on a port of its own, listed behind a runner that is gone. The settings' runner token is `secret`."""
    double = RunnerDouble()
    paths = ("/threads/{t}", "/threads/{t}/state", "/threads/{t}/history")
    app = Starlette(routes=[Route(path, double.answer, methods=["GET", "POST"]) for path in paths])
    async with serving(app) as port:
        urls = ["http://127.0.0.1:1", f"http://127.0.0.1:{port}"]
        entries = [
            {"name": url, "url": url, "agent": "default", "graphs": ["steps", "talk"], "ready": True} for url in urls
        ]
        assert settings.runners_file is not None
        settings.runners_file.write_bytes(orjson.dumps({"runners": entries, "desired": 2, "problems": []}))
        try:
            yield double
        finally:
            double.speaks.set()
