"""The endpoint of the Model Context Protocol, over streamable HTTP."""

from typing import Any

from fastapi import Request
from starlette.responses import Response

from relayrun_api.auth import Caller, GuardedRoute, Reader
from relayrun_api.auth.admission import admitted_for
from relayrun_api.auth.routing import Router
from relayrun_api.http.bodies import parse_json
from relayrun_api.http.errors import Invalid
from relayrun_api.http.operation import Stream
from relayrun_api.http.streamed import Streamed
from relayrun_api.http.websockets import check_origin
from relayrun_api.mcp import permissions
from relayrun_api.mcp.calls import Call
from relayrun_api.mcp.dispatch import Dispatch
from relayrun_api.mcp.errors import INVALID_REQUEST, McpError
from relayrun_api.mcp.messages import (
    Message,
    check_accept,
    dialect_of,
    error_response,
    message_of,
    parse_error,
)
from relayrun_api.mcp.metadata import challenging
from relayrun_api.mcp.stream import call_events, place_of
from relayrun_api.services import Given
from relayrun_api.streaming.sse import HEADERS, HEARTBEAT, MEDIA_TYPE, LastEventId

router = Router("mcp")

_MESSAGE = {
    "type": "object",
    "required": ["jsonrpc"],
    "properties": {
        "jsonrpc": {"const": "2.0", "description": "The version of JSON-RPC"},
        "id": {
            "type": ["integer", "string"],
            "maxLength": 256,
            "description": "The id of a request. A notification has none",
        },
        "method": {"type": "string", "maxLength": 256, "description": "`tools/list`, `tools/call` and others"},
        "params": {"type": "object", "description": "The parameters of the method"},
    },
}
_EXAMPLE = Stream(
    'id: 1f0d…c2.4294967297\r\nevent: message\r\ndata: {"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text",'
    '"text":"Sunny."}],"structuredContent":{"answer":"Sunny."},"isError":false}}\r\n\r\n'
)


@router.post(
    "/mcp",
    operation_id="mcp",
    description=(
        "One JSON-RPC message. Assistants are tools. A call is a run: its steps are progress notifications in an "
        "event stream, and its output is the result. An invalid message is 400, and an `Accept` without JSON and "
        "event streams is 406, with a JSON-RPC error."
    ),
    body=_MESSAGE,
    examples={"the tools": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}},
    permission=permissions.later,
    answer=dict[str, Any],
    example={"jsonrpc": "2.0", "id": 1, "result": {"tools": []}},
    refusals=(403, 404),
    also={202: "The notification or the answer was accepted."},
)
async def post(request: Request, services: Given, caller: Caller, reader: Reader) -> Response:
    """Send a message of the Model Context Protocol."""
    message = Message(None, None, {})
    check_origin(request, services.settings, own=False)
    try:
        message = message_of(await _parsed(request))
        dialect = dialect_of(message, request.headers)
        streams = check_accept(request.headers.get("accept", ""), streams=False)
        dispatch = Dispatch(request, services, caller, reader, message, dialect, streams=streams)
        return await dispatch.answer()
    except McpError as error:
        return error_response(message.id, error)


@router.get(
    "/mcp",
    operation_id="resume_mcp",
    description=(
        "Streams the answer to a call after the event `Last-Event-ID`, on any replica. Without an id, 405: there are "
        "no messages outside of answers."
    ),
    permission=permissions.later,
    answer=_EXAMPLE,
    refusals=(403, 404),
)
async def resume(request: Request, services: Given, caller: Caller, last_event_id: LastEventId = None) -> Response:
    """Resume the answer to a call."""
    check_origin(request, services.settings, own=False)
    if not last_event_id:
        error = McpError(INVALID_REQUEST, "There are no messages beside answers: send POST.", status=405)
        response = error_response(None, error)
        response.headers["Allow"] = "POST"
        return response
    try:
        check_accept(request.headers.get("accept", ""), streams=True)
        dialect = dialect_of(Message(None, None, {}), request.headers)
        place = place_of(last_event_id)
    except McpError as error:
        return error_response(None, error)
    run = await services.runs.visible(caller, place.call_id)
    caller = await admitted_for(request, caller, permissions.read_call(str(run.thread_id)))
    run = await services.runs.visible(caller, place.call_id)
    call = Call.of(run)
    if call is None:
        return error_response(None, McpError(INVALID_REQUEST, "`Last-Event-ID` names a run that no call started."))
    events = call_events(services, services.runs.join(run), call, dialect, place)
    return Streamed(events, media_type=MEDIA_TYPE, headers=HEADERS, heartbeat=HEARTBEAT)


async def _parsed(request: Request) -> object:
    try:
        return parse_json(await request.body())
    except Invalid as error:
        raise parse_error(error) from error


for _route in router.routes:
    assert isinstance(_route, GuardedRoute)
    _route.app = challenging(_route.app)
