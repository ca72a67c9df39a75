"""A web app whose module makes its client once, before there is an event loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langgraph_sdk import get_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

client = get_client()
started: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    found = await client.assistants.search(graph_id="worker")
    started["assistant"] = found[0]["graph_id"]
    yield


async def mine(request: Request) -> JSONResponse:
    thread = await client.threads.create(metadata={"by": "route"})
    values = await client.runs.wait(thread["thread_id"], "worker", input={"n": 2})
    told = {
        "lifespan": started,
        "user": request.user.identity,
        "metadata": thread["metadata"],
        "values": values,
        "headers": sorted(request.headers),
        "owners": sorted({found["metadata"].get("owner", "") for found in await client.threads.search(limit=1000)}),
    }
    return JSONResponse(told)


app = Starlette(routes=[Route("/mine", mine)], lifespan=lifespan)
