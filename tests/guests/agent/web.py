"""What an author brings beside graphs, no better than those: routes, and who may call."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

from kinds import throw
from langgraph_sdk import Auth
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route


async def raising(request: Request) -> PlainTextResponse:
    throw(request.path_params["kind"])
    return PlainTextResponse("never")


def raising_in_thread(request: Request) -> PlainTextResponse:
    throw(request.path_params["kind"])
    return PlainTextResponse("never")


async def raising_behind(request: Request) -> PlainTextResponse:
    return PlainTextResponse("fine", background=BackgroundTask(throw, request.path_params["kind"]))


async def raising_in_the_middle(request: Request) -> StreamingResponse:
    async def words():  # type: ignore[no-untyped-def]  # an iterator of texts
        yield "some words"
        await asyncio.sleep(0)
        throw(request.path_params["kind"])

    return StreamingResponse(words())


app = Starlette(
    routes=[
        Route("/guests/raising/{kind}", raising),
        Route("/guests/thread/{kind}", raising_in_thread),
        Route("/guests/behind/{kind}", raising_behind),
        Route("/guests/middle/{kind}", raising_in_the_middle),
    ]
)
auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    """Whoever says a name is believed; who says `raise` and a kind is not."""
    name = unquote(authorization or "nobody")
    if name.startswith("raise "):
        throw(name.removeprefix("raise "))
    return name
