"""Time limits for clients of our HTTP servers, which uvicorn lacks: for a request's head, its body, and for reading
what is sent. Without them whoever opens connections and says nothing keeps them for ever.

Only whoever is waited for is late: not a client that is not read from because its request is being worked on.
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

#: Slower than any network that people use, so that whoever is slower does not try.
LEAST_BYTES_PER_SECOND = 500
#: Connections whose request has not come yet; those that say nothing for longest make room for more.
MOST_SILENT = 1000

Awaited = Literal["head", "body"]


@dataclass(frozen=True)
class Patience:
    """For one server. `seconds`: for all of a head, and in each so long a body comes and an answer goes on at
    `LEAST_BYTES_PER_SECOND` at least.
    """

    seconds: float = 30.0
    most_silent: int = MOST_SILENT
    #: Those who have not said yet what they want, in the order in which they came.
    silent: dict["PatientHttp", None] = field(default_factory=dict)

    @property
    def least_bytes(self) -> float:
        """In each `seconds`."""
        return self.seconds * LEAST_BYTES_PER_SECOND


class SlowReader:
    """Ends a connection whose client does not take what it is sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, patience: Patience) -> None:
        self._loop = loop
        self._transport = transport
        self._patience = patience
        self._paused = False
        self._resumed = False
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None

    def paused(self) -> None:
        """asyncio: more waits for the client than should."""
        self._paused = True
        if self._timer is None:
            self._look_later()

    def resumed(self) -> None:
        """asyncio: the client has taken most of it."""
        self._paused, self._resumed = False, True

    def stop(self) -> None:
        """The connection has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        self._resumed = False
        self._left = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._patience.seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._paused:
            return
        taken = self._left - self._transport.get_write_buffer_size()
        if self._resumed or taken >= self._patience.least_bytes:
            self._look_later()
        else:
            self._transport.abort()


class PatientHttp(_Http):
    """Mixed into uvicorn's protocol for HTTP; `patience` is set by a subclass."""

    patience = Patience()

    #: Whether there is some of a request that is not there as a whole.
    begun = False
    _awaited: Awaited | None = None
    _since = 0.0
    _bytes = 0
    # Whether in this time we did not read for a while.
    _held_back = False
    _timer: asyncio.TimerHandle | None = None
    _reader: SlowReader | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio.Protocol."""
        super().connection_made(transport)
        self._reader = SlowReader(self.loop, transport, self.patience)
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
        """uvicorn: the connection is another protocol's from now on."""
        self._leave()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """httptools: the first byte of a request is there."""
        super().on_message_begin()
        self.begun = True
        if self._awaited is None:
            self._await("head")

    def on_headers_complete(self) -> None:
        """httptools: a request's head is there."""
        super().on_headers_complete()
        self._await("body")

    def on_body(self, body: bytes) -> None:
        """httptools: a part of a body is there."""
        super().on_body(body)
        self._bytes += len(body)
        self._held_back = self._held_back or self.flow.read_paused

    def on_message_complete(self) -> None:
        """httptools: a request is there."""
        super().on_message_complete()
        self.begun = False
        self._awaited = None

    def client_is_late(self, awaited: Awaited) -> None:
        """What was awaited has not come. By default the connection is closed, as when the client leaves."""
        if awaited == "body" and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _await(self, what: Awaited) -> None:
        self._awaited, self._since, self._bytes, self._held_back = what, self.loop.time(), 0, self.flow.read_paused
        silent = self.patience.silent
        if what == "head":
            silent[self] = None
            if len(silent) > self.patience.most_silent:
                oldest = next(iter(silent))
                oldest._leave()
                oldest.transport.close()
        else:
            silent.pop(self, None)
        if self._timer is None:
            self._timer = self.loop.call_later(self.patience.seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._awaited is None or self.transport.is_closing():
            return
        left = self._since + self.patience.seconds - self.loop.time()
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
        # Whoever is answered already may go on at leisure: the answer's end is the end of it.
        answering = cycle.response_started and not cycle.response_complete
        return not (answering or cycle.waiting_for_100_continue) and self._bytes < self.patience.least_bytes

    def _leave(self) -> None:
        self.patience.silent.pop(self, None)
        self._awaited = None
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None:
            self._reader.stop()


class PatientSocket(_WebSocket):
    """Mixed into uvicorn's protocol for WebSockets, whose pings find clients that are gone, and not those who do not
    read: what waits for them would keep a connection open that was closed long ago.
    """

    patience = Patience()
    _reader: SlowReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio.Protocol."""
        super().connection_made(transport)
        self._reader = SlowReader(self.loop, self.transport, self.patience)

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
        """ASGI. A connection that was refused with an answer is done with: uvicorn logs it as an error of ours."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True


def patient(kind: type[Any], patience: Patience) -> type[Any]:
    """A protocol class of these, for one server."""
    return type(kind.__name__, (kind,), {"patience": patience})
