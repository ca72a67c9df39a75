"""The operator's own HTTP: /healthz for the kubelet, /readyz, /metrics for Prometheus."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from relayrun_operator.kube.metrics import OperatorMetrics


@asynccontextmanager
async def serve(
    host: str, port: int, metrics: OperatorMetrics, ailing: Callable[[], str | None]
) -> AsyncIterator[None]:
    """Serve while the context lasts. `ailing` says what is wrong, or None."""

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
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
