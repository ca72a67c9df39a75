"""Responses of the runner protocol: JSON, and the status and reason of each exception."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import psycopg
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from relayrun_core import storable
from relayrun_core.database import is_transient
from relayrun_core.errors import NotStorable, ThreadBusyError, ThreadNotFound
from relayrun_core.runner_requests import READING_SLOW
from relayrun_runner.errors import (
    CheckpointOrder,
    DatabaseAway,
    GraphLoadError,
    InvalidState,
    InvalidStoreCall,
    LoopBusy,
    NoAuth,
    NoCustomApp,
    NotReady,
    QuestionFailed,
    ReadingSlow,
    StoreCallFailed,
    UnknownGraph,
)

# Who takes so long for one part of an answer wants to hold what its making holds.
_TAKEN_SECONDS = 300.0

_REFUSALS: dict[type[Exception], tuple[int, str]] = {
    UnknownGraph: (404, "UnknownGraph"),
    NoAuth: (404, "NoAuth"),
    NoCustomApp: (404, "NoCustomApp"),
    ThreadNotFound: (404, "ThreadNotFound"),
    ThreadBusyError: (409, "ThreadBusy"),
    InvalidState: (400, "Invalid"),
    NotStorable: (400, "Invalid"),
    psycopg.DataError: (400, "Invalid"),
    psycopg.errors.ProgramLimitExceeded: (400, "Invalid"),
    InvalidStoreCall: (400, "Invalid"),
    CheckpointOrder: (409, "Invalid"),
    QuestionFailed: (500, "Error"),
    StoreCallFailed: (500, "Error"),
    GraphLoadError: (503, "NotReady"),
    NotReady: (503, "NotReady"),
    LoopBusy: (504, "LoopBusy"),
    ReadingSlow: (504, READING_SLOW),
    DatabaseAway: (503, "DatabaseAway"),
}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response with a JSON body."""
    return Response(storable.dumps(body), status, headers, "application/json")


async def begun(parts: AsyncGenerator[bytes], headers: dict[str, str]) -> Response:
    """A JSON response in parts, each made when the one before was taken. Raises what the first part raises.

    An error after it, or a reader that takes none for long, cuts the connection.
    """
    return _Parts(await anext(parts), parts, headers)


class _Parts(StreamingResponse):
    def __init__(self, first: bytes, others: AsyncGenerator[bytes], headers: dict[str, str]) -> None:
        self._others = others
        super().__init__(self._all(first), headers=headers, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._others):
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(_TAKEN_SECONDS):
                await send(message)

        await super().stream_response(send_in_time)

    async def _all(self, first: bytes) -> AsyncGenerator[bytes]:
        yield first
        async for part in self._others:
            yield part


async def _plain_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return json_response({"reason": "Invalid", "message": error.detail}, error.status_code)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return json_response({"reason": "Invalid", "message": f"{place}: {first['msg']}"}, 400)


async def _refusal(_: Request, error: Exception) -> Response:
    if isinstance(error, psycopg.errors.QueryCanceled):
        # Not a 503, with which the next runner would be asked for the same.
        return json_response({"reason": "TooSlow", "message": "the database took too long"}, 408)
    if is_transient(error):
        return json_response({"reason": "DatabaseAway", "message": str(error)}, 503)
    for kind, (status, reason) in _REFUSALS.items():
        if isinstance(error, kind):
            return json_response({"reason": reason, "message": str(error)}, status)
    return json_response({"reason": "Error", "message": f"{type(error).__name__}: {error}"}, 500)


#: Starlette's, for `make_app`.
EXCEPTION_HANDLERS = {
    HTTPException: _plain_error,
    ValidationError: _invalid,
    psycopg.Error: _refusal,
    Exception: _refusal,
    **dict.fromkeys(_REFUSALS, _refusal),
}
