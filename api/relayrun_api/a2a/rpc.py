"""JSON-RPC 2.0 as A2A has it: requests, results, and errors with A2A's codes. Pure."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from relayrun_api.http.bodies import parse_json
from relayrun_api.http.errors import Invalid
from relayrun_api.http.responses import dumps

_LONGEST_METHOD = 64
_LONGEST_ID = 1024

RpcId = str | int | None


class Code(IntEnum):
    """JSON-RPC's error codes, and A2A's own."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    TASK_NOT_FOUND = -32001
    TASK_NOT_CANCELABLE = -32002
    PUSH_NOT_SUPPORTED = -32003
    UNSUPPORTED_OPERATION = -32004
    CONTENT_TYPE_NOT_SUPPORTED = -32005
    VERSION_NOT_SUPPORTED = -32009


class RpcError(Exception):
    """What a method answers in place of a result; the message says what to do."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class RpcRequest:
    """One call."""

    id: RpcId
    method: str
    params: dict[str, Any]


def parse_request(body: bytes) -> RpcRequest:
    """The call in a request's body. Raises RpcError."""
    try:
        parsed = parse_json(body)
    except Invalid as error:
        raise RpcError(Code.PARSE_ERROR, error.detail) from error
    if not isinstance(parsed, dict) or parsed.get("jsonrpc") != "2.0":
        raise RpcError(
            Code.INVALID_REQUEST, 'The body is not a JSON-RPC request: send one object, with "jsonrpc": "2.0".'
        )
    method, params = parsed.get("method"), parsed.get("params")
    if not isinstance(method, str) or not 0 < len(method) <= _LONGEST_METHOD:
        raise RpcError(Code.INVALID_REQUEST, "`method` must be the name of a method, for example SendMessage.")
    if params is not None and not isinstance(params, dict):
        raise RpcError(Code.INVALID_PARAMS, "`params` must be an object.")
    if "id" in parsed and not _is_id(parsed["id"]):
        raise RpcError(Code.INVALID_REQUEST, f"`id` must be a number or a text of at most {_LONGEST_ID} characters.")
    return RpcRequest(parsed.get("id"), method, params or {})


def id_in(body: bytes) -> RpcId:
    """The id of what may be no right request, for its refusal."""
    try:
        parsed = parse_json(body)
    except Invalid:
        return None
    given = parsed.get("id") if isinstance(parsed, dict) else None
    return given if _is_id(given) else None


def result(request_id: RpcId, value: Any) -> bytes:
    """An answer."""
    return dumps({"jsonrpc": "2.0", "id": request_id, "result": value})


def refusal(request_id: RpcId, error: RpcError) -> bytes:
    """An error in place of an answer."""
    return dumps({"jsonrpc": "2.0", "id": request_id, "error": {"code": error.code, "message": error.message}})


Params = TypeVar("Params", bound=BaseModel)


def checked(model: type[Params], params: dict[str, Any]) -> Params:
    """A method's parameters. Raises RpcError."""
    try:
        return model.model_validate(params)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "params"
        raise RpcError(
            Code.INVALID_PARAMS, f"{where}: {first['msg']}. Correct it and send the request again."
        ) from error


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_ID
    return value is None or (isinstance(value, int) and not isinstance(value, bool))
