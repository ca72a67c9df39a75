"""An author's web app. What happened to its requests is in files below CRASH_FOLDER."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

_FOLDER = Path(os.environ["CRASH_FOLDER"])


def note(word: str) -> None:
    with (_FOLDER / "web.log").open("a") as log:
        log.write(f"{os.getpid()} {word}\n")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    app.state.opened = "here"
    note("started")
    yield {"pool": "a pool"}
    note("stopped")


async def seen(request: Request) -> Response:
    """All of the request, as the app sees it."""
    user = request.scope.get("user")
    return JSONResponse(
        {
            "method": request.method,
            "url": str(request.url),
            "root": request.scope["root_path"],
            "raw": request.scope["raw_path"].decode(),
            "query": request.query_params.multi_items(),
            "headers": request.headers.items(),
            "client": request.client and request.client.host,
            "body": (await request.body()).decode("latin-1"),
            "state": request.state.pool,
            "opened": request.app.state.opened,
            "user": None if user is None else dict(user),
            "pid": os.getpid(),
            "environment": sorted(name for name in os.environ if name.startswith("RELAYRUN_")),
            "scope": sorted(map(str, request.scope)),
        },
        headers={"Set-Cookie": "session=abc", "Server": "mine", "Access-Control-Allow-Origin": "*"},
    )


async def count(request: Request) -> Response:
    """How long the body is, read as it comes."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return PlainTextResponse(str(size))


async def large(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(int(request.query_params["megabytes"])):
            yield b"x" * 1_000_000

    return StreamingResponse(chunks(), media_type="application/octet-stream")


async def ticks(request: Request) -> Response:
    """Events until the client leaves; the first one at once."""

    async def events() -> AsyncIterator[str]:
        note("stream begins")
        number = 0
        try:
            while True:
                yield f"data: {number}\n\n"
                number += 1
                await asyncio.sleep(0.02)  # what is streamed takes time to make
        finally:
            note("stream ends")

    return StreamingResponse(events(), media_type="text/event-stream")


async def halts(request: Request) -> Response:
    """Fails in the middle of its answer."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"some"
        raise RuntimeError("in the middle")

    return StreamingResponse(chunks(), headers={"Content-Length": "8"} if "length" in request.query_params else {})


async def fails(request: Request) -> Response:
    raise RuntimeError("as meant")


async def leaves(request: Request) -> Response:
    raise SystemExit(3)


async def waits(request: Request) -> Response:
    """Answers when the test lets it."""
    note("waits")
    while not (_FOLDER / "go").exists():
        await asyncio.sleep(0.01)  # another process makes the file
    note("went on")
    return PlainTextResponse("went")


async def blocks(request: Request) -> Response:
    """Holds up the loop of the graphs, as no author should."""
    note("blocks")
    while not (_FOLDER / "go").exists():
        time.sleep(0.01)
    note("went on")
    return PlainTextResponse("went")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept("chat" if "chat" in websocket.scope["subprotocols"] else None)
    note("socket opens")
    try:
        await websocket.send_json(
            {
                "user": dict(websocket.scope["user"]),
                "query": dict(websocket.query_params),
                "host": websocket.headers["host"],
                "offered": websocket.scope["subprotocols"],
            }
        )
        async for text in websocket.iter_text():
            if text == "bye":
                await websocket.close(4001, "as asked")
                return
            if text == "fail":
                raise RuntimeError("as meant")
            await websocket.send_bytes(text.encode())
    finally:
        note("socket ends")


async def closed(websocket: WebSocket) -> None:
    """Refuses, in one of the ways there are."""
    if "fail" in websocket.query_params:
        raise RuntimeError("as meant")
    if "tell" in websocket.query_params:
        await websocket.send_denial_response(PlainTextResponse("not today", 418, {"X-Why": "tea"}))
    else:
        await websocket.close(4000)


async def hidden(request: Request) -> Response:
    return PlainTextResponse("the app's own")


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
app = Starlette(
    lifespan=lifespan,
    middleware=[Middleware(CORSMiddleware, allow_origins=["https://of-the-app.example"])],
    routes=[
        Route("/seen", seen, methods=METHODS),
        Route("/seen/{rest:path}", seen, methods=METHODS),
        Route("/count", count, methods=["POST"]),
        Route("/large", large),
        Route("/ticks", ticks),
        Route("/halts", halts),
        Route("/fails", fails),
        Route("/leaves", leaves),
        Route("/waits", waits),
        Route("/blocks", blocks),
        Route("/info", hidden),
        Route("/threads/search", hidden, methods=["POST"]),
        Route("/console/mine", hidden),
        Route("/keys", hidden, methods=["GET", "POST"]),
        Route("/agents", hidden),
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/closed", closed),
    ],
)
