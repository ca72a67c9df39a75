"""Messages of the protocol as they come and go: JSON-RPC, and what each version of it has. Pure.

`mcp_types` takes a second to import, so it is imported with the first request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from relayrun_api.http.errors import Invalid
from relayrun_api.http.responses import dumps
from relayrun_api.mcp.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
    McpError,
)
from relayrun_api.mcp.sessions import session_of

_LARGEST_ID = 256
_LONGEST_METHOD = 256

VERSION_HEADER = "mcp-protocol-version"
SESSION_HEADER = "mcp-session-id"
_META_VERSION = "io.modelcontextprotocol/protocolVersion"
_META_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
#: What a client speaks that does not say it.
_UNSAID = "2025-03-26"

RequestId = str | int


@dataclass(frozen=True)
class Message:
    """What a client sent. `id` None: a notification. `method` None: its answer to a question of the server's."""

    id: RequestId | None
    method: str | None
    params: Mapping[str, Any]
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def meta(self) -> Mapping[str, Any]:
        """The `_meta` of its params."""
        found = self.params.get("_meta")
        return found if isinstance(found, dict) else {}

    @property
    def progress_token(self) -> RequestId | None:
        """By what the client knows the progress of this request, if it wants to be told."""
        token = self.meta.get("progressToken")
        return token if isinstance(token, str | int) and not isinstance(token, bool) else None


def message_of(body: Any) -> Message:
    """The message of a parsed body. Raises McpError."""
    if isinstance(body, list):
        raise McpError(INVALID_REQUEST, "Batches are not supported: send each message in its own request.")
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
        raise McpError(INVALID_REQUEST, 'The body is not a JSON-RPC message: send an object with `"jsonrpc": "2.0"`.')
    known, method, params = body.get("id"), body.get("method"), body.get("params")
    if "id" in body and not _is_id(known):
        raise McpError(INVALID_REQUEST, f"`id` must be a number or a text of at most {_LARGEST_ID} characters.")
    if method is None and known is not None and ("result" in body or "error" in body):
        return Message(known, None, {}, body)
    if not isinstance(method, str):
        raise McpError(INVALID_REQUEST, "The message has no `method`: name the method to call.")
    if len(method) > _LONGEST_METHOD:
        raise McpError(INVALID_REQUEST, f"`method` must have at most {_LONGEST_METHOD} characters.")
    if params is not None and not isinstance(params, dict):
        raise McpError(INVALID_PARAMS, "`params` must be an object.")
    return Message(known, method, params or {}, body)


def _is_id(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= _LARGEST_ID)


@dataclass(frozen=True)
class Dialect:
    """The protocol's version that a request is in. `modern`: each request says all of itself, nothing is agreed on."""

    version: str
    modern: bool
    #: Whether the client asks its user what the server wants to know.
    elicits: bool = False
    #: The id of the session that the request is in.
    session: str | None = None


def has_forms(capabilities: Any) -> bool:
    """Whether a client with these capabilities asks its user by forms."""
    asked = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    # One that says nothing more means forms, as before there was anything else.
    return isinstance(asked, dict) and ("form" in asked or not asked)


def dialect_of(message: Message, headers: Mapping[str, str]) -> Dialect:
    """The version of a message, by its header and its `_meta`. Raises McpError."""
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

    sent, said = headers.get(VERSION_HEADER), message.meta.get(_META_VERSION)
    if said is None and (sent is None or sent in HANDSHAKE_PROTOCOL_VERSIONS):
        session = session_of(headers.get(SESSION_HEADER))
        if session is None:
            return Dialect(sent or _UNSAID, modern=False)
        return Dialect(sent or session.version, modern=False, elicits=session.elicits, session=session.session_id)
    if sent in MODERN_PROTOCOL_VERSIONS and message.id is None:
        return Dialect(sent, modern=True)
    if said is None and sent in MODERN_PROTOCOL_VERSIONS:
        raise McpError(INVALID_PARAMS, f"`_meta` must have {_META_VERSION!r} and {_META_CAPABILITIES!r}.")
    if said is not None:
        _check_headers(message, said, headers)
    version = said if said is not None else sent
    if version not in MODERN_PROTOCOL_VERSIONS:
        raise unsupported(version, MODERN_PROTOCOL_VERSIONS if said is not None else None)
    capabilities = message.meta.get(_META_CAPABILITIES)
    if not isinstance(capabilities, dict):
        raise McpError(INVALID_PARAMS, f"`_meta` must have an object as {_META_CAPABILITIES!r}.")
    return Dialect(version, modern=True, elicits=has_forms(capabilities))


def unsupported(version: Any, supported: Any = None) -> McpError:
    """The refusal of a version."""
    from mcp_types.version import KNOWN_PROTOCOL_VERSIONS

    versions = list(supported or KNOWN_PROTOCOL_VERSIONS)
    detail = f"Protocol version {str(version)[:40]!r} is not served: use one of {', '.join(versions)}."
    return McpError(UNSUPPORTED_VERSION, detail, data={"supported": versions, "requested": str(version)[:40]})


def _check_headers(message: Message, version: Any, headers: Mapping[str, str]) -> None:
    """Proxies route by the headers: they must say what the body says."""
    expected = {VERSION_HEADER: version, "mcp-method": message.method}
    if message.method == "tools/call":
        expected["mcp-name"] = message.params.get("name")
    for name, value in expected.items():
        if _plain(headers.get(name)) != value:
            raise McpError(HEADER_MISMATCH, f"The header {name} does not say what the body says: send {value!r}.")


def _plain(value: str | None) -> str | None:
    """A header's text, which may be in base64 where it is not ASCII."""
    from base64 import b64decode

    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return b64decode(value[9:-2], validate=True).decode()
    except ValueError:
        return None


def checked_params(message: Message, dialect: Dialect) -> Any:
    """The request as the version's types have it. Raises McpError for a method or params that it does not have."""
    from mcp_types import methods
    from pydantic import ValidationError

    assert message.method is not None
    try:
        return methods.parse_client_request(message.method, dialect.version, message.params or None)
    except KeyError:
        raise McpError(
            METHOD_NOT_FOUND,
            f"Method {message.method[:100]!r} does not exist in version {dialect.version}.",
            status=404 if dialect.modern else 200,
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise McpError(
            INVALID_PARAMS, f"Invalid params of {message.method}: {where}: {first['msg']}.", status=_status(dialect)
        ) from None


def _status(dialect: Dialect) -> int:
    return 400 if dialect.modern else 200


def result_body(message_id: RequestId, method: str, result: Any, dialect: Dialect) -> bytes:
    """A result as JSON, with the members that the client's version has."""
    from mcp_types import methods

    dumped = result.model_dump(mode="python", by_alias=True, exclude_none=True)
    shaped = methods.serialize_server_result(method, dialect.version, dumped)
    return dumps({"jsonrpc": "2.0", "id": message_id, "result": shaped})


def error_body(message_id: RequestId | None, error: McpError) -> bytes:
    """An error as JSON."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return dumps({"jsonrpc": "2.0", "id": message_id, "error": told})


def error_response(message_id: RequestId | None, error: McpError) -> Response:
    """An error as the whole answer."""
    return Response(error_body(message_id, error), error.status, media_type="application/json")


def check_accept(accept: str, *, streams: bool) -> bool:
    """Whether the client takes an event stream. Raises McpError where it takes neither that nor JSON."""
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")} if accept else {"*/*"}
    stream = bool(kinds & {"*/*", "text/*", "text/event-stream"})
    if not stream and (streams or not kinds & {"application/json", "application/*"}):
        wanted = "text/event-stream" if streams else "application/json, text/event-stream"
        raise McpError(INVALID_REQUEST, f"Not acceptable: send `Accept: {wanted}`.", status=406)
    return "text/event-stream" in kinds


def parse_error(error: Invalid) -> McpError:
    """A body that is no JSON."""
    return McpError(PARSE_ERROR, error.detail)
