"""The protocol's thread: an event loop and a server of their own, beside the graphs' loop.

A node that blocks the graphs' loop holds up runs, but not heartbeats, claims and cancels.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable

import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from relayrun_core.http_timeouts import ClientTimeouts, HttpTimeouts, WebSocketTimeouts, with_timeouts
from relayrun_runner.process.exits import PART_ENDED, end_process
from relayrun_runner.process.loops import run_to_end

log = logging.getLogger("relayrun.runner")

# The world keeps its connections; one that the server closes in the very moment of a PUT would look like a lost PUT.
_KEEP_ALIVE_SECONDS = 600
_STOP_SECONDS = 2.0
# Longer than the API waits for its own clients, whose bodies come through it as they send them.
_SLOW_SECONDS = 120.0
# As large as the API lets through.
_MOST_MESSAGE_BYTES = 10_000_000

#: Runs beside the server, on its loop, and ends with it.
Beside = Callable[[], Awaitable[None]]


class _Http(HttpTimeouts, HttpToolsProtocol):
    """Who says nothing, or not all of a request, is not waited for."""


class _Socket(WebSocketTimeouts, WebSocketsSansIOProtocol):
    """Who does not read is not waited for."""


class ProtocolThread:
    """Serves the protocol on a bound socket, in a daemon thread."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, beside: Beside, slow_seconds: float = _SLOW_SECONDS
    ) -> None:
        """`slow_seconds`: how long a client is waited for."""
        timeouts = ClientTimeouts(slow_seconds)
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=with_timeouts(_Http, timeouts),
            ws=with_timeouts(_Socket, timeouts),
            ws_max_size=_MOST_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._beside = beside
        self._thread = threading.Thread(target=self._run, name="protocol", daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The thread's event loop, once it was started."""
        assert self._loop is not None
        return self._loop

    def start(self) -> None:
        """Start serving; returns when the loop runs."""
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Stop serving; open streams get a moment to end."""
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            serving = run_to_end(runner.get_loop(), self._serve())
            if not self._server.should_exit:
                # The process is a runner that nobody can reach; its supervisor starts a better one.
                error = None if serving.cancelled() else serving.exception()
                log.critical("the protocol server broke", exc_info=error)
                end_process(PART_ENDED, "its protocol server ended")

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started.set()
        beside = asyncio.ensure_future(self._beside())
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._listener]))
        try:
            done, _ = await asyncio.wait({beside, serving}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        finally:
            for task in (beside, serving):
                task.cancel()
            await asyncio.gather(beside, serving, return_exceptions=True)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(128)
    return listener
