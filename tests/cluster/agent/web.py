"""What an author brings beside graphs: routes, and who may call."""

from __future__ import annotations

import os

from langgraph_sdk import Auth
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"by": os.environ["HOSTNAME"], "asked_by": request.user.identity})


app = Starlette(routes=[Route("/hello", hello)])
auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    """Whoever says a name is believed."""
    if not authorization:
        raise Auth.exceptions.HTTPException(status_code=401, detail="say your name")
    return authorization.removeprefix("Bearer ")
