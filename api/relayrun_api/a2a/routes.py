"""The routes of A2A: an agent's card, and the address at which it is called."""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from relayrun_api.a2a import permissions
from relayrun_api.a2a.card import agent_card
from relayrun_api.a2a.dialects import METHODS
from relayrun_api.a2a.methods import Methods
from relayrun_api.a2a.rpc import Code, RpcError, id_in, parse_request, refusal
from relayrun_api.auth import Caller
from relayrun_api.auth.routing import Router
from relayrun_api.http import examples as things
from relayrun_api.http.errors import (
    ApiError,
    AssistantNotFound,
    Invalid,
    NotFound,
)
from relayrun_api.http.responses import Json
from relayrun_api.runs.terms import StartTerms
from relayrun_api.services import Given
from relayrun_core import errors as core

router = Router("a2a")

_VERSIONS = ("0.3", "1.0")
_CALL = {
    "type": "object",
    "required": ["jsonrpc", "method"],
    "properties": {
        "jsonrpc": {"const": "2.0", "description": "The version of JSON-RPC"},
        "id": {
            "type": ["string", "integer", "null"],
            "maxLength": 1024,
            "description": "An id that you choose. It is in the answer",
        },
        "method": {"enum": [*METHODS], "description": "The method, by its name in A2A 1.0 or 0.3"},
        "params": {"type": "object", "description": "The parameters of the method, as A2A defines them"},
    },
}
_MESSAGE = {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "Where is my order?"}]}
_TASK = {
    "id": things.RUN,
    "contextId": things.THREAD,
    "status": {"state": "TASK_STATE_COMPLETED", "timestamp": "2026-11-23T14:30:01.702Z"},
    "artifacts": [{"artifactId": "2.1", "parts": [{"text": things.TOLD}]}],
}


@router.get(
    "/.well-known/agent-card.json",
    operation_id="get_agent_card",
    description=(
        "Returns what other agents need to call this one, in A2A 0.3 and 1.0. Without `assistant_id`, the card of "
        "the only graph, or of the setting `default_graph`."
    ),
    permission=permissions.card,
    answer=dict[str, Any],
    example={"name": "agent", "version": "1", "url": "https://relayrun.example/a2a/agent"},
    refusals=(404,),
)
async def card(
    request: Request,
    services: Given,
    caller: Caller,
    assistant_id: Annotated[str | None, Query(max_length=256)] = None,
) -> Response:
    """Get an agent card."""
    lookup = services.assistant_lookup
    assistant = await (lookup.named(caller, assistant_id) if assistant_id else lookup.default(caller, uuid4()))
    url = f"{str(request.base_url).rstrip('/')}/a2a/{assistant.assistant_id}"
    return Json(agent_card(assistant, url, auth=tuple(services.settings.auth_kinds)))


@router.post(
    "/a2a/{assistant_id}",
    operation_id="call_agent",
    description=(
        "The methods are those of A2A 1.0 (`SendMessage`, `SendStreamingMessage`, `GetTask`, `CancelTask`, "
        "`SubscribeToTask`, …) and of 0.3 (`message/send`, …). Errors are in the answer, with status 200. If a "
        "stream is cut off, continue with `SubscribeToTask`."
    ),
    permission=permissions.call,
    answer=dict[str, Any],
    example={"jsonrpc": "2.0", "id": 1, "result": {"task": _TASK}},
    body=_CALL,
    examples={
        "a message": {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": _MESSAGE}},
        "a task": {"jsonrpc": "2.0", "id": 2, "method": "GetTask", "params": {"id": things.RUN}},
    },
)
async def call(assistant_id: str, request: Request, services: Given, caller: Caller, terms: StartTerms) -> Response:
    """Call an agent."""
    assistant = await services.assistant_lookup.named(caller, assistant_id)
    body = await request.body()
    try:
        asked = parse_request(body)
        _check_version(request)
        return await Methods(services, request, caller, assistant, terms).carry_out(asked)
    except RpcError as error:
        return Json(refusal(id_in(body), error))
    except (ApiError, core.RelayrunError) as error:
        if (known := _as_rpc(error)) is None:
            raise
        return Json(refusal(id_in(body), known))


def _check_version(request: Request) -> None:
    sent = request.headers.get("a2a-version")
    if sent and not sent.startswith(_VERSIONS):
        raise RpcError(Code.VERSION_NOT_SUPPORTED, f"Version {sent[:16]!r} of A2A is not supported: use 1.0 or 0.3.")


def _as_rpc(error: Exception) -> RpcError | None:
    """What is wrong with a call; None for what is answered in HTTP's own way, as limits are."""
    match error:
        case Invalid() | AssistantNotFound() | NotFound():
            return RpcError(Code.INVALID_PARAMS, error.detail)
        case core.ThreadNotFound():
            return RpcError(Code.INVALID_PARAMS, "There is no such context: leave `contextId` out for a new one.")
        case core.ResumeConflict() | core.ThreadBusyError():
            return RpcError(Code.UNSUPPORTED_OPERATION, "The task does not wait for an answer any more: read it again.")
        case core.RunNotFound():
            return RpcError(Code.TASK_NOT_FOUND, "The task was deleted meanwhile.")
        case _:
            return None
