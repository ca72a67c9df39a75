"""Serves the API with settings from the environment."""

import gc
import resource
import signal
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from relayrun_api.app import begin_shutdown, create_app
from relayrun_api.http.bodies import MAX_BODY_BYTES
from relayrun_api.http.uvicorn_protocol import BoundedHttp, BoundedSocket
from relayrun_api.settings import ApiSettings
from relayrun_core.http_timeouts import ClientTimeouts, with_timeouts
from relayrun_core.logs import configure_logging
from relayrun_core.process.parent import exit_with_parent
from relayrun_core.process.secrets import settings_of, take_secrets

WEBSOCKETS: dict[str, Any] = {
    "ws": BoundedSocket,
    "ws_max_size": MAX_BODY_BYTES,
    "ws_per_message_deflate": False,  # it costs a few hundred kilobytes a connection
}
# Longer than clients and proxies keep an idle connection (httpx 5 s, most load balancers 60 s): of a request that is
# sent in the moment in which the server closes nobody knows whether it was taken.
_KEEP_ALIVE_SECONDS = 75
_GRACE_SECONDS = 10
_MOST_FILES = 65_536


def protocols(seconds: float) -> dict[str, Any]:
    """Uvicorn's options for what is spoken with clients, for whom it waits so long."""
    timeouts = ClientTimeouts(seconds)
    return {**WEBSOCKETS, "http": with_timeouts(BoundedHttp, timeouts), "ws": with_timeouts(BoundedSocket, timeouts)}


class Server(uvicorn.Server):
    """Uvicorn, that tells streams to end before it waits for them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then serve what is under way to its end."""
        begin_shutdown(self._app)
        await super().shutdown(sockets)


def main() -> None:
    """Serve until a signal comes or the parent dies."""
    exit_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Uvicorn raises the signal once more when it has shut down; having been asked to go is no failure.
        signal.signal(number, lambda *_: sys.exit(0))
    settings = _settings()
    _allow_connections()
    configure_logging(settings.log_level, settings.log_format)
    app = create_app(settings)
    gc.freeze()  # what is loaded by now stays: a collection that looked through it all would hold every stream up
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        **protocols(settings.slow_client_seconds),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # Else a request may begin with what was said of another on its connection: whose share it is.
        reset_contextvars=True,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    Server(config, app).run()


def _allow_connections() -> None:
    """As many as the system lets us have: with the usual 1024 a few hundred clients that say nothing take them all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _settings() -> ApiSettings:
    try:
        return ApiSettings.model_validate(settings_of(take_secrets()))
    except ValidationError as error:
        # Its own text would repeat what was set, secrets included.
        sentences = [f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in error.errors()]
        sys.exit("\n".join(f"relayrun_api cannot start: {sentence}." for sentence in sentences))
