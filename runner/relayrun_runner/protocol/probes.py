"""The routes that need no token: whether this runner lives and is ready, and what it counts."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from relayrun_runner.protocol.parts import Protocol
from relayrun_runner.protocol.responses import json_response

#: Probes and scrapes carry no token; what they answer tells nothing about agents or users.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


class Probes:
    """One method a route."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    async def healthz(self, _: Request) -> Response:
        """Whether this process can execute runs. A blocked node does not make it ill: its other runs would die with it;
        that a loop or a pool has ended does.
        """
        ended = self._protocol.vitals.ended()
        return json_response({"ok": ended is None}, 200 if ended is None else 503)

    async def readyz(self, request: Request) -> Response:
        """Whether it can take runs; who knows the token also hears why not."""
        protocol = self._protocol
        ready = protocol.readiness.ready and protocol.gate.is_open and not protocol.board.draining
        ready = ready and protocol.vitals.ended() is None
        body: dict[str, Any] = {"ready": ready, "draining": protocol.board.draining}
        if request.scope["authorized"]:
            troubles = protocol.readiness.troubles()
            body["reasons"] = [
                {"subject": subject, "message": trouble.message, "traceback": trouble.traceback}
                for subject, trouble in troubles.items()
            ]
            body["graphs"] = protocol.watching.list([])["graphs"]
        return json_response(body, 200 if ready else 503)

    async def metrics(self, _: Request) -> Response:
        """Prometheus."""
        return Response(self._protocol.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
