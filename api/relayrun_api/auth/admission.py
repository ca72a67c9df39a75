"""Admits requests: asks the author's handlers, and applies their answers to the request."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection, Request
from starlette.types import Message, Receive

from relayrun_api.auth.custom import CustomAuth
from relayrun_api.auth.permissions import AccessCheck, Permission, RequestData
from relayrun_api.auth.principal import Authenticator, Principal
from relayrun_api.http.bodies import JsonRequest, parse_json
from relayrun_core.database import Database
from relayrun_core.db.runs import get_run

# A larger body is read once it is known who sends it: that costs one more call.
_READ_BEFORE_BYTES = 64 * 1024


async def admitted(
    custom: CustomAuth, request: Request, route: APIRoute, permission: Permission
) -> tuple[Principal, Request]:
    """The caller, and the request as its handlers want it. Raises what `CustomAuth.admit` does."""
    request_data = RequestData(dict(request.path_params), request.query_params)
    known = None
    if route.body_field is not None:
        if not _is_small(request):
            known = await custom.admit(request, ())
        request_data.body = await _checked_body(request, route)
    elif "run_id" in request_data.path and "thread_id" not in request_data.path:
        await _find_thread(request, request_data)
    caller = await custom.admit(request, permission(request_data), known)
    return caller, _rewritten(request, request_data, route)


async def admitted_on(
    authenticator: Authenticator, connection: HTTPConnection, permission: Permission, body: Any = None
) -> Principal | None:
    """The caller of a connection, for what it asks now; `body` may be changed. Raises as `admitted`."""
    if not isinstance(authenticator, CustomAuth):
        return await authenticator.authenticate(connection)
    return await authenticator.admit(connection, permission(RequestData(dict(connection.path_params), body=body)))


async def admitted_for(request: Request, caller: Principal, checks: Sequence[AccessCheck]) -> Principal:
    """The caller that a route has let in, once it is known what it wants. Raises as `admitted`."""
    authenticator: Authenticator = request.app.state.authenticator
    return await authenticator.admit(request, checks, caller) if isinstance(authenticator, CustomAuth) else caller


async def _checked_body(request: Request, route: APIRoute) -> Any:
    """The body, which is one that the route takes: handlers may rely on its form."""
    raw = await JsonRequest(request.scope, request.receive).body()
    body = parse_json(raw) if raw else None
    assert route.body_field is not None
    _, errors = route.body_field.validate(body, {}, loc=("body",))
    if errors:
        raise RequestValidationError(errors)
    return body


def _is_small(request: Request) -> bool:
    length = request.headers.get("content-length", "")
    return length.isdigit() and int(length) <= _READ_BEFORE_BYTES


async def _find_thread(request: Request, request_data: RequestData) -> None:
    """The thread of a run that is named alone."""
    database: Database = request.app.state.services.database
    try:
        run = await get_run(database, UUID(request_data.path["run_id"]))
    except ValueError:
        return
    if run is not None:
        request_data.path["thread_id"] = str(run.thread_id)


def _rewritten(request: Request, request_data: RequestData, route: APIRoute) -> Request:
    scope = dict(request.scope)
    if request_data.query is not request.query_params:
        scope["query_string"] = str(request_data.query).encode("latin-1")
    if route.body_field is None:
        return Request(scope, request.receive)
    return Request(scope, _replaying(orjson.dumps(request_data.body), request.receive))


def _replaying(body: bytes, receive: Receive) -> Receive:
    """What was read, once more; then whatever comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
