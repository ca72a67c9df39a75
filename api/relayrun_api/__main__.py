"""`python -m relayrun_api`: serves the API with settings from the environment."""

import socket
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from relayrun_api.app import begin_shutdown, create_app
from relayrun_core.logs import configure_logging
from relayrun_core.parent import exit_with_parent
from relayrun_core.settings import ApiSettings

_GRACE_SECONDS = 10


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
    settings = _settings()
    configure_logging(settings.log_level, settings.log_format)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    Server(config, app).run()


def _settings() -> ApiSettings:
    try:
        return ApiSettings()
    except ValidationError as error:
        # Its own text would repeat what was set, secrets included.
        sentences = [f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in error.errors()]
        sys.exit("\n".join(f"relayrun_api cannot start: {sentence}." for sentence in sentences))


if __name__ == "__main__":
    main()
