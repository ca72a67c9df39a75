"""Time limits for HTTP clients, which uvicorn lacks: for sending a request's head and body, and for reading the answer.

Without them a client that opens connections and sends nothing keeps them for ever. The limits count only while the
server waits for the client, not while it works on the request.
"""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Http
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol as _WebSocket
else:
    _Http = _WebSocket = object

#: Slower than any network that people use: a slower client is not trying.
LEAST_BYTES_PER_SECOND = 500
#: How many connections may wait for their first request. Beyond that the oldest of them are closed.
MOST_SILENT = 1000

Awaited = Literal["head", "body"]


@dataclass(frozen=True)
class ClientTimeouts:
    """The limits of one server.

    A request's head must arrive within `seconds`. In each period of `seconds`, a body must arrive, and an answer must
    be read, at `LEAST_BYTES_PER_SECOND` or faster.
    """

    seconds: float = 30.0
    most_silent: int = MOST_SILENT
    #: Connections that wait for a request, oldest first.
    silent: dict["HttpTimeouts", None] = field(default_factory=dict)

    @property
    def least_bytes(self) -> float:
        """How many bytes must move in each period of `seconds`."""
        return self.seconds * LEAST_BYTES_PER_SECOND


class SlowReader:
    """Ends a connection whose client does not read what it is sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, timeouts: ClientTimeouts) -> None:
        self._loop = loop
        self._transport = transport
        self._timeouts = timeouts
        self._paused = False
        self._resumed = False
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None

    def paused(self) -> None:
        """Called by asyncio when the write buffer is full."""
        self._paused = True
        if self._timer is None:
            self._look_later()

    def resumed(self) -> None:
        """Called by asyncio when the client has read most of the buffer."""
        self._paused, self._resumed = False, True

    def stop(self) -> None:
        """Stop watching: the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        self._resumed = False
        self._left = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._timeouts.seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._paused:
            return
        taken = self._left - self._transport.get_write_buffer_size()
        if self._resumed or taken >= self._timeouts.least_bytes:
            self._look_later()
        else:
            self._transport.abort()


class HttpTimeouts(_Http):
    """Mixed into uvicorn's protocol for HTTP; `timeouts` is set by a subclass."""

    timeouts = ClientTimeouts()

    #: Whether a request has begun to arrive and is not complete.
    begun = False
    _awaited: Awaited | None = None
    _since = 0.0
    _bytes = 0
    # Whether reading was paused at some time in this period.
    _held_back = False
    _timer: asyncio.TimerHandle | None = None
    _reader: SlowReader | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio.Protocol."""
        super().connection_made(transport)
        self._reader = SlowReader(self.loop, transport, self.timeouts)
        self._await("head")

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio.Protocol."""
        self._leave()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """asyncio.Protocol."""
        super().pause_writing()
        if self._reader is not None:
            self._reader.paused()

    def resume_writing(self) -> None:
        """asyncio.Protocol."""
        super().resume_writing()
        if self._reader is not None:
            self._reader.resumed()

    def handle_websocket_upgrade(self) -> None:
        """Called by uvicorn when another protocol takes the connection over."""
        self._leave()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Called by httptools at the first byte of a request."""
        super().on_message_begin()
        self.begun = True
        if self._awaited is None:
            self._await("head")

    def on_headers_complete(self) -> None:
        """Called by httptools when a request's head is complete."""
        super().on_headers_complete()
        self._await("body")

    def on_body(self, body: bytes) -> None:
        """Called by httptools for each part of a body."""
        super().on_body(body)
        self._bytes += len(body)
        self._held_back = self._held_back or self.flow.read_paused

    def on_message_complete(self) -> None:
        """Called by httptools when a request is complete."""
        super().on_message_complete()
        self.begun = False
        self._awaited = None

    def client_is_late(self, awaited: Awaited) -> None:
        """Called when the client exceeds a limit. Closes the connection, as if the client had left."""
        if awaited == "body" and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _await(self, what: Awaited) -> None:
        self._awaited, self._since, self._bytes, self._held_back = what, self.loop.time(), 0, self.flow.read_paused
        silent = self.timeouts.silent
        if what == "head":
            silent[self] = None
            if len(silent) > self.timeouts.most_silent:
                oldest = next(iter(silent))
                oldest._leave()
                oldest.transport.close()
        else:
            silent.pop(self, None)
        if self._timer is None:
            self._timer = self.loop.call_later(self.timeouts.seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._awaited is None or self.transport.is_closing():
            return
        left = self._since + self.timeouts.seconds - self.loop.time()
        if left <= 0:
            if self._is_late(self._awaited):
                self.client_is_late(self._awaited)
                return
            self._await(self._awaited)
        else:
            self._timer = self.loop.call_later(left, self._look)

    def _is_late(self, awaited: Awaited) -> bool:
        if self._held_back or self.flow.read_paused:
            return False
        if awaited == "head":
            return True
        cycle = self.cycle
        # A client that is being answered already may send slowly: its request ends with the answer.
        answering = cycle.response_started and not cycle.response_complete
        return not (answering or cycle.waiting_for_100_continue) and self._bytes < self.timeouts.least_bytes

    def _leave(self) -> None:
        self.timeouts.silent.pop(self, None)
        self._awaited = None
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None:
            self._reader.stop()


class WebSocketTimeouts(_WebSocket):
    """Mixed into uvicorn's protocol for WebSockets. Its pings find clients that are gone, but not those that do not
    read: unsent data would keep a connection open that was closed long ago.
    """

    timeouts = ClientTimeouts()
    _reader: SlowReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio.Protocol."""
        super().connection_made(transport)
        self._reader = SlowReader(self.loop, self.transport, self.timeouts)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio.Protocol."""
        if self._reader is not None:
            self._reader.stop()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """asyncio.Protocol."""
        super().pause_writing()
        if self._reader is not None:
            self._reader.paused()

    def resume_writing(self) -> None:
        """asyncio.Protocol."""
        super().resume_writing()
        if self._reader is not None:
            self._reader.resumed()

    async def send(self, message: "ASGISendEvent") -> None:
        """ASGI. Completes the handshake of a connection that was refused, which uvicorn would log as an error."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True


def with_timeouts(kind: type[Any], timeouts: ClientTimeouts) -> type[Any]:
    """Make a protocol class with the limits of one server."""
    return type(kind.__name__, (kind,), {"timeouts": timeouts})
