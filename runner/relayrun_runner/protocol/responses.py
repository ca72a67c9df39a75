"""What the routes answer with: JSON, and for each exception its status and reason."""

from typing import Any

import psycopg
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from relayrun_core import storable
from relayrun_core.database import is_transient
from relayrun_core.errors import NotStorable, ThreadBusyError, ThreadNotFound
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
    StoreCallFailed,
    UnknownGraph,
)

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
    DatabaseAway: (503, "DatabaseAway"),
}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response with a JSON body."""
    return Response(storable.dumps(body), status, headers, "application/json")


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
