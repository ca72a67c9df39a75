"""Answers messages: each method of the protocol that is served here."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import Request
from psycopg_pool import PoolTimeout
from starlette.responses import Response

from relayrun_api import __version__
from relayrun_api.auth import Principal
from relayrun_api.auth.admission import admitted_for
from relayrun_api.http.errors import ApiError
from relayrun_api.http.problems import problem_of
from relayrun_api.http.responses import Json, run_headers
from relayrun_api.http.streamed import Streamed
from relayrun_api.mcp import permissions
from relayrun_api.mcp.calls import Call, refused_result
from relayrun_api.mcp.errors import METHOD_NOT_FOUND, McpError
from relayrun_api.mcp.messages import SESSION_HEADER, Dialect, Message, checked_params, has_forms, result_body
from relayrun_api.mcp.replies import Replies
from relayrun_api.mcp.sessions import new_session
from relayrun_api.mcp.starts import Starts
from relayrun_api.mcp.stream import call_answer, call_events
from relayrun_api.mcp.tools import tools_page
from relayrun_api.runs.ending import KEEPALIVE
from relayrun_api.runs.streams import canceller
from relayrun_api.services import Services
from relayrun_api.streaming.sse import HEADERS, HEARTBEAT, MEDIA_TYPE
from relayrun_core.errors import RelayrunError

_REFUSALS = (ApiError, RelayrunError, psycopg.Error, PoolTimeout)
_INSTRUCTIONS = (
    "Each tool is an agent. A call may take long and is not lost when a connection is. When an agent asks something, "
    "answer with the tool resume_run."
)


class Dispatch:
    """Answers one message."""

    def __init__(
        self,
        request: Request,
        services: Services,
        caller: Principal,
        reader: str,
        message: Message,
        dialect: Dialect,
        *,
        streams: bool,
    ) -> None:
        self._request = request
        self._services = services
        self._caller = caller
        self._reader = reader
        self._message = message
        self._dialect = dialect
        self._streams = streams

    async def answer(self) -> Response:
        """The answer. Raises McpError, and ApiError for who may not ask."""
        message = self._message
        if message.id is None or message.method is None:
            await Replies(self._request, self._services, self._caller, message, self._dialect).take()
            return Response(status_code=HTTPStatus.ACCEPTED)
        if message.method == "initialize":
            return self._initialized()
        checked_params(message, self._dialect)
        match message.method:
            case "tools/call":
                return await self._call()
            case "tools/list":
                return self._result(await self._tools())
            case "server/discover":
                return self._result(_discovered())
            case "ping":
                return self._result(_nothing())
            case "logging/setLevel":
                return self._result(_nothing())
            case method:
                raise McpError(
                    METHOD_NOT_FOUND,
                    f"This server has no method {method!r}.",
                    status=404 if self._dialect.modern else 200,
                )

    def _initialized(self) -> Response:
        from mcp_types import Implementation, InitializeResult
        from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION

        asked = self._message.params.get("protocolVersion")
        version = asked if asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        self._dialect = replace(self._dialect, version=version, modern=False)
        checked_params(self._message, self._dialect)
        result = InitializeResult(
            protocol_version=version,
            capabilities=_capabilities(),
            server_info=Implementation(name="relayrun", version=__version__),
            instructions=_INSTRUCTIONS,
        )
        answer = self._result(result)
        answer.headers[SESSION_HEADER] = new_session(
            version, elicits=has_forms(self._message.params.get("capabilities"))
        ).session_id
        return answer

    async def _tools(self) -> Any:
        from mcp_types import ListToolsResult

        caller = await admitted_for(self._request, self._caller, permissions.list_tools())
        tools, cursor = await tools_page(self._services, self._reader, caller, self._message.params.get("cursor"))
        return ListToolsResult(tools=tools, next_cursor=cursor)

    async def _call(self) -> Response:
        message, dialect = self._message, self._dialect
        assert message.id is not None
        call = Call(message.id, message.progress_token, dialect.elicits)
        starts = Starts(self._request, self._services, self._caller, self._reader, message, dialect)
        try:
            begun = await starts.of_call(call)
        except _REFUSALS as error:
            problem = problem_of(error)
            if problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise
            refusal = self._result(refused_result(problem))
            refusal.headers.update(problem.headers)
            return refusal
        started, call = begun.run, begun.call
        headers = {**run_headers(started.thread_id, started.run_id), **started.headers}
        # In these versions a closed connection is how a client cancels.
        leave = canceller(self._services, started.run_id) if dialect.modern and not begun.comes_back else None
        if not self._streams:
            whole = call_answer(self._services, started, call, dialect)
            return Streamed(
                whole, media_type="application/json", headers=headers, heartbeat=KEEPALIVE, on_disconnect=leave
            )
        events = call_events(self._services, started, call, dialect)
        return Streamed(
            events,
            media_type=MEDIA_TYPE,
            headers={**HEADERS, **headers},
            heartbeat=HEARTBEAT,
            on_disconnect=leave,
        )

    def _result(self, result: Any) -> Response:
        message = self._message
        assert message.id is not None
        assert message.method is not None
        return Json(result_body(message.id, message.method, result, self._dialect))


def _capabilities() -> Any:
    from mcp_types import ServerCapabilities, ToolsCapability

    return ServerCapabilities(tools=ToolsCapability())


def _discovered() -> Any:
    from mcp_types import DiscoverResult
    from mcp_types.version import MODERN_PROTOCOL_VERSIONS

    return DiscoverResult(
        supported_versions=list(MODERN_PROTOCOL_VERSIONS), capabilities=_capabilities(), instructions=_INSTRUCTIONS
    )


def _nothing() -> Any:
    from mcp_types import EmptyResult

    return EmptyResult()
