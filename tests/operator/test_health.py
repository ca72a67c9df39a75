"""The operator's own port: it answers, and waits for nobody who connects and says nothing."""

import asyncio

import httpx

from relayrun_operator.kube.health import serve
from relayrun_operator.kube.metrics import OperatorMetrics
from tests.support.runner import free_port


async def asked(port: int, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        return await client.get(path)


async def test_it_answers_and_waits_for_nobody() -> None:
    port = free_port()
    async with serve("127.0.0.1", port, OperatorMetrics(), lambda: None, limit_seconds=1.0):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        silent[1][1].write(b"GET /heal")
        silent[2][1].write(b"GET /healthz HTTP/1.1\r\nHost: operator\r\n\r\nGET /healthz HTTP/1.1\r\n")
        assert (await asked(port, "/healthz")).json() == {"ok": True, "reason": None}
        async with asyncio.timeout(60):
            ended = [await reader.read() for reader, _ in silent]
        assert b"200 OK" in ended[2]
        assert (await asked(port, "/metrics")).status_code == 200
        for _, writer in silent:
            writer.close()
