"""The operator's HTTP server: /healthz for the kubelet, /readyz, /metrics for Prometheus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from relayrun_operator.kube.metrics import OperatorMetrics

# aiohttp waits for ever for whoever connects and says nothing. Who asks here asks little, and comes again.
_CONNECTION_SECONDS = 20.0


@asynccontextmanager
async def serve(
    host: str,
    port: int,
    metrics: OperatorMetrics,
    ailing: Callable[[], str | None],
    limit_seconds: float = _CONNECTION_SECONDS,
) -> AsyncIterator[None]:
    """Serve while the context lasts. `ailing` says what is wrong, or None.

    `limit_seconds`: how long a connection may last; whoever has more to ask connects again.
    """

    async def healthz(_: web.Request) -> web.Response:
        wrong = ailing()
        return web.json_response({"ok": wrong is None, "reason": wrong}, status=200 if wrong is None else 503)

    async def readyz(_: web.Request) -> web.Response:
        return web.json_response({"ready": True})  # a standby is as ready as it can be

    async def text(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", text)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    loop = asyncio.get_running_loop()

    def connected() -> web.RequestHandler:
        assert runner.server is not None
        handler = runner.server()
        loop.call_later(limit_seconds, handler.close)  # after the answer that is under way
        loop.call_later(2 * limit_seconds, handler.force_close)
        return handler

    try:
        async with await loop.create_server(connected, host, port):
            yield
    finally:
        await runner.cleanup()
