"""HTTP/1.1 as uvicorn speaks it, with bounds that it lacks: on what may come before it is a request, and on requests
that are sent ahead. Without them one connection, of anybody, fills the process's memory (tried: 1.4 GB in 10 s).
"""

from collections.abc import Mapping
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from relayrun_api.http.problems import Problem
from relayrun_api.http.responses import dumps
from relayrun_api.http.streamed import CUT
from relayrun_core.http_timeouts import Awaited, HttpTimeouts, WebSocketTimeouts

MAX_HEAD_BYTES = 65_536
#: Requests that wait behind the one that is being answered; no client of ours sends any.
MAX_PIPELINED = 16

_NOT_HTTP = Problem(400, "not_http", "The request is not valid HTTP/1.1: check the client that sent it.")
_TOO_LONG = Problem(
    431, "head_too_large", f"The headers of the request are larger than {MAX_HEAD_BYTES} bytes: send fewer headers."
)

_LATE: Mapping[Awaited, Problem] = {
    "head": Problem(408, "head_too_slow", "The headers of the request did not arrive in time: send the request again."),
    "body": Problem(408, "body_too_slow", "The body stopped arriving: send the whole request again."),
}


class BoundedSocket(WebSocketTimeouts, WebSocketsSansIOProtocol):
    """Ends the connection of a client that does not read."""


class BoundedHttp(HttpTimeouts, HttpToolsProtocol):
    """Closes the connection of a client that goes beyond the bounds or is late, and says why where it can be said."""

    # What has come since there was a request or a part of a body: heads, but trailers and chunk extensions too.
    _unfinished_bytes = 0
    _answering: RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        """asyncio.Protocol."""
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LONG)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio.Protocol. uvicorn tells the newest request alone, which may wait behind the one that is answered."""
        self._end_answer()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """httptools: a request's head is there."""
        self._unfinished_bytes = 0
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            raise httptools.HttpParserError("too many requests ahead")

    def on_body(self, body: bytes) -> None:
        """httptools: a part of a body is there."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """httptools: a request is there."""
        self._unfinished_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's
        """uvicorn: the parser gave up."""
        self._refuse(_NOT_HTTP)

    def client_is_late(self, awaited: Awaited) -> None:
        """HttpTimeouts: what was awaited has not come."""
        if awaited == "head" and self.begun:
            self._refuse(_LATE[awaited])
        elif awaited == "body" and self.cycle is self._answering and not self.cycle.response_started:
            self._end_answer()
            self._answer(_LATE[awaited])
        else:
            self._cut()  # there is nothing to be answered: nothing was asked, or it was answered

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        cycle.scope["state"][CUT] = self._cut
        super()._start_asgi_task(cycle, app)

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        if self._answering is not None and not self._answering.response_complete:
            self._cut()
        else:
            self._answer(problem)

    def _answer(self, problem: Problem) -> None:
        body = dumps(problem.body())
        headers = f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\nconnection: close"
        self.transport.write(STATUS_LINE[problem.status] + headers.encode() + b"\r\n\r\n" + body)
        self.transport.close()

    def _cut(self) -> None:
        """As when the client leaves: what is under way ends, and writes no more."""
        self._end_answer()
        self.transport.close()

    def _end_answer(self) -> None:
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
